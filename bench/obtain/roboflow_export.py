"""An export of Roboflow, through its own client: the pinned version, as COCO segmentation.

The client finds the project, asks for the export and waits until it is made; the archive itself is
downloaded by `bench.obtain.download`, because the client's own download neither goes on where it
stopped nor unpacks safely. The key comes from where the client keeps it, and goes nowhere else.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import DataMissing, ExtraMissing
from bench.spec import Roboflow

FORMAT = "coco-segmentation"
_KEYS = "https://app.roboflow.com/settings/api"


class NoKey(DataMissing):
    """There is no key for Roboflow on this machine."""


@dataclass(frozen=True)
class Export:
    """An export that is ready to be downloaded."""

    workspace: str
    project: str
    version: int
    link: str
    """Signed: it holds a secret, and is not shown or kept."""

    @property
    def name(self) -> str:
        """As it can be asked for again, `roboflow:workspace/project/version`."""
        return f"roboflow:{self.workspace}/{self.project}/{self.version}"


def export(pin: Roboflow, sizes: Mapping[str, int]) -> Export:
    """Have Roboflow export a project's version.

    Args:
        pin: which; without a version, the first one whose parts have the sizes given.
        sizes: images by Roboflow's own names of parts, `train` and `valid`.

    Raises:
        ExtraMissing: the client is not installed.
        NoKey: there is no key.
        DataMissing: no such project or version, or Roboflow cannot be reached.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import roboflow
            from roboflow.adapters import rfapi
            from roboflow.config import load_roboflow_api_key
    except ImportError as error:
        raise ExtraMissing(
            f"Roboflow's client is not installed ({error}): pip install "
            "'bench-openvocab[roboflow]'."
        ) from error
    key = _key(load_roboflow_api_key, pin)
    where = f"{pin.workspace}/{pin.project}"
    with _said(where, key), contextlib.redirect_stdout(sys.stderr):
        project = roboflow.Roboflow(api_key=key).project(where)
        number = _version(pin, project.get_version_information(), sizes)
        version = project.version(number)
        if FORMAT not in version.exports:
            version.export(FORMAT)
        answer = rfapi.get_version_export(key, pin.workspace, pin.project, str(number), FORMAT)
        return Export(pin.workspace, pin.project, number, str(answer["export"]["link"]))


def _key(load: Any, pin: Roboflow) -> str:
    try:
        key = load(pin.workspace)
    except Exception:  # the client trips over a config without workspaces
        key = None
    if not key:
        raise NoKey(
            f"There is no key for Roboflow: set ROBOFLOW_API_KEY (a key is free, at {_KEYS}), or "
            "run `roboflow login`."
        )
    return str(key)


@contextlib.contextmanager
def _said(where: str, key: str) -> Iterator[None]:
    """Whatever the client raises, in a sentence without the key."""
    try:
        yield
    except DataMissing:
        raise
    except Exception as error:  # the client raises RuntimeError, its own and its http library's
        reason = " ".join(str(error).split()).replace(key, "<key>")[:300] or type(error).__name__
        raise DataMissing(
            f"Roboflow does not give {where}: {reason.rstrip('.')}. Is the key right "
            f"(ROBOFLOW_API_KEY), and is the project still there?"
        ) from None


def _version(pin: Roboflow, versions: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> int:
    """The pinned version, or the first that has the right sizes."""
    known = {int(str(row["id"]).rpartition("/")[2]): row.get("splits") or {} for row in versions}
    if pin.version is None:
        fitting = [n for n, parts in sorted(known.items()) if _fits(parts, sizes)]
        if fitting:
            return fitting[0]
        found = f"none has {_counts(sizes)}"
    elif pin.version in known:
        return pin.version
    else:
        found = f"not {pin.version}"
    listed = "; ".join(f"{n} with {_counts(parts)}" for n, parts in sorted(known.items()))
    raise DataMissing(
        f"Roboflow's project {pin.workspace}/{pin.project} has the versions {listed or 'none'}; "
        f"{found}. To take one all the same: --from roboflow:{pin.workspace}/{pin.project}/N "
        "--other-counts"
    )


def _fits(parts: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    return bool(sizes) and all(parts.get(part) == n for part, n in sizes.items())


def _counts(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {part}" for part, n in sorted(parts.items())) or "no images"
