"""Where the files of a sample are, as a path with the sample's id in it.

`gtFine/val/{id}_gtFine_labelIds.png` finds the label map of `frankfurt/frankfurt_000000_000294`,
and the id of a label map. `{name}` is the last part of the id; `*` stands for anything within one
part of the path, where it does not matter (an extension).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Pattern:
    """A relative path with one `{id}` (or `{name}`) in it.

    >>> pattern = Pattern("val/{id}_left.png")
    >>> pattern.fill("aachen/aachen_01"), pattern.id_of("val/aachen/aachen_01_left.png")
    ('val/aachen/aachen_01_left.png', 'aachen/aachen_01')
    """

    text: str

    def __post_init__(self) -> None:
        if len(re.findall(r"\{(?:id|name)\}", self.text)) != 1:
            raise ValueError(f"'{self.text}' needs one {{id}} (or {{name}}) in it")
        if re.sub(r"\{(?:id|name)\}", "", self.text).count("{"):
            raise ValueError(f"'{self.text}' may have {{id}}, {{name}} and * in it, nothing else")

    def fill(self, id: str) -> str:
        """The path of a sample; only for a pattern without `*`."""
        return self.text.replace("{id}", id).replace("{name}", id.rpartition("/")[2])

    def id_of(self, path: str) -> str | None:
        """The id in a path, `None` where the path does not fit."""
        found = self._regex.fullmatch(path.replace("\\", "/"))
        return found["id"] if found else None

    @property
    def exact(self) -> bool:
        """Whether an id leads to one path without looking."""
        return "*" not in self.text

    def files(self, root: Path) -> Iterator[tuple[str, Path]]:
        """Every file under `root` that fits, with its id, in the order of ids."""
        start = root / self._fixed_folder
        found = [
            (id, path)
            for path in start.rglob("*")
            if (id := self.id_of(path.relative_to(root).as_posix())) is not None and path.is_file()
        ]
        return iter(sorted(found))

    @cached_property
    def _fixed_folder(self) -> str:
        fixed = re.split(r"[{*]", self.text, maxsplit=1)[0]
        return fixed.rpartition("/")[0]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts = {"{id}": "(?P<id>.+)", "{name}": "(?P<id>[^/]+)", "*": "[^/]*"}
        split = re.split(r"(\{id\}|\{name\}|\*)", self.text)
        return re.compile("".join(parts.get(part) or re.escape(part) for part in split))
