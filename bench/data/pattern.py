"""Where the files of a sample are, as a path with the sample's id in it.

`gtFine/val/{id}_gtFine_labelIds.png` finds the label map of `frankfurt/frankfurt_000000_000294`,
and the id of a label map. `{name}` is the last part of the id, `{folder}` what is before it, for
layouts that put something between the two; `*` stands for anything within one part of the path,
where it does not matter (an extension).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Pattern:
    """A relative path with one `{id}` in it, or one `{name}`, or `{folder}` and `{name}`.

    >>> pattern = Pattern("val/{id}_left.png")
    >>> pattern.fill("aachen/aachen_01"), pattern.id_of("val/aachen/aachen_01_left.png")
    ('val/aachen/aachen_01_left.png', 'aachen/aachen_01')
    >>> Pattern("{folder}/color/{name}.jpg").fill("scene0011_00/000100")
    'scene0011_00/color/000100.jpg'
    """

    text: str

    def __post_init__(self) -> None:
        if len(re.findall(r"\{(?:id|name)\}", self.text)) != 1:
            raise ValueError(f"'{self.text}' needs one {{id}} (or {{name}}) in it")
        if re.sub(r"\{(?:id|name)\}", "", self.text.replace("{folder}", "", 1)).count("{"):
            raise ValueError(
                f"'{self.text}' may have {{id}}, {{name}}, {{folder}} and * in it, nothing else"
            )
        if "{folder}" in self.text and not re.search(r"\{folder\}.*\{name\}", self.text):
            raise ValueError(f"'{self.text}' needs {{name}} after {{folder}}")

    def fill(self, id: str) -> str:
        """The path of a sample; only for a pattern without `*`."""
        folder, _, name = id.rpartition("/")
        return self.text.replace("{id}", id).replace("{folder}", folder).replace("{name}", name)

    def id_of(self, path: str) -> str | None:
        """The id in a path, `None` where the path does not fit."""
        found = self._regex.fullmatch(path.replace("\\", "/"))
        if found is None:
            return None
        return "/".join(filter(None, (found.groupdict().get("folder"), found["id"])))

    @property
    def exact(self) -> bool:
        """Whether an id leads to one path without looking."""
        return "*" not in self.text

    def files(self, root: Path) -> Iterator[tuple[str, Path]]:
        """Every file under `root` that fits, with its id, in the order of ids."""
        return iter(sorted(self._fitting(root)))

    def files_of(self, root: Path, ids: Sequence[str]) -> Iterator[Path]:
        """The files of some samples, in the order of ids; for one that has none, where it would be.

        Where it would be is not known for a pattern with `*`, which stands for itself then.
        """
        if self.exact:
            yield from (root / self.fill(id) for id in sorted(ids))
            return
        known = dict(self.files(root))
        yield from (known.get(id, root / self.text) for id in sorted(ids))

    def fits_any(self, root: Path) -> bool:
        """Whether any file under `root` fits."""
        return any(True for _ in self._fitting(root))

    def _fitting(self, root: Path) -> Iterator[tuple[str, Path]]:
        for path in (root / self._fixed_folder).rglob("*"):
            id = self.id_of(path.relative_to(root).as_posix())
            if id is not None and path.is_file():
                yield id, path

    @cached_property
    def _fixed_folder(self) -> str:
        fixed = re.split(r"[{*]", self.text, maxsplit=1)[0]
        return fixed.rpartition("/")[0]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts = {
            "{id}": "(?P<id>.+)",
            "{folder}": "(?P<folder>.+)",
            "{name}": "(?P<id>[^/]+)",
            "*": "[^/]*",
        }
        split = re.split(r"(\{id\}|\{folder\}|\{name\}|\*)", self.text)
        return re.compile("".join(parts.get(part) or re.escape(part) for part in split))
