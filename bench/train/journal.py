"""The journal of a run: one line of JSON a step, whether or not the run was interrupted."""

import errno
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from bench.train.checkpoint import write_text
from bench.train.loop import Step
from bench.trained import JOURNAL_FILE as JOURNAL_FILE


@dataclass(frozen=True)
class Journal:
    """What happened in each step; lines are written through at once."""

    path: Path
    file: FileIO

    @classmethod
    def open(cls, folder: Path, steps: int) -> "Journal":
        """Continue the journal of a folder behind its first `steps` steps: later lines are cut."""
        path = folder / JOURNAL_FILE
        kept = [line for line in read_lines(path) if json.loads(line)["step"] <= steps]
        write_text(path, "".join(line + "\n" for line in kept))
        return cls(path, FileIO(path, "a"))

    def write(self, step: Step) -> None:
        """Add a step."""
        content = f"{json.dumps(line(step))}\n".encode()
        if self.file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """No more lines."""
        self.file.close()


def line(step: Step) -> dict[str, Any]:
    """A step as it is kept: parts of several layers (`mask_bce_0`, `mask_bce_1`, …) added up."""
    parts: dict[str, float] = defaultdict(float)
    for name, value in step.parts.items():
        noun, _, layer = name.rpartition("_")
        parts[noun if layer.isdigit() else name] += value
    return {
        "step": step.number,
        "loss": step.loss,
        **parts,
        "gradient_norm": step.gradient_norm,
        "rate": step.rate,
        "seconds": round(step.seconds, 3),
    }


def read_lines(path: Path) -> list[str]:
    """The whole lines of a journal; one that was cut off in the middle is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()
