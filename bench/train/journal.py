"""The journal of a run: one line of JSON a step, whether or not the run was interrupted."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.durable import Appender, lines
from bench.train.loop import Step
from bench.trained import JOURNAL_FILE as JOURNAL_FILE

PATIENCE = 10.0
"""Seconds that a killed training may hold the journal: processes that load data end after it."""


@dataclass(frozen=True)
class Journal:
    """What happened in each step; lines are written through at once."""

    file: Appender

    @classmethod
    @contextmanager
    def open(cls, folder: Path, steps: int) -> Iterator["Journal"]:
        """Continue the journal of a folder behind its first `steps` steps: later lines are cut.

        Raises:
            Busy: another training is writing it.
        """
        path, name = folder / JOURNAL_FILE, f"The training in {folder}"
        with Appender(path, exclusive=name, patience=PATIENCE, option="--out") as file:
            file.cut(sum(len(line) for _, line in lines(path) if json.loads(line)["step"] <= steps))
            yield cls(file)

    def write(self, step: Step) -> None:
        """Add a step."""
        self.file.write(json.dumps(line(step)))


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
