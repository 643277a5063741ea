"""Records of few-shot sweeps that nobody ran: scores by formula, with known spreads."""

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.record import Record
from bench.report.sweep import Column

SESSION = {
    "started": "2024-05-01T00:00:00Z", "revision": None, "dirty": None, "packages": {},
    "python": "CPython", "platform": "Linux", "device": "cpu", "batch_size": 1,
}  # fmt: skip
COUNTS = {"class-embedding": 262_144, "prompt": 1_150_000, "decoder": 39_300_000}


def columns(*labels: str) -> tuple[Column, ...]:
    return tuple(Column(f"wild-{label}", label, "val") for label in labels)


def measured(
    model: str,
    dataset: str,
    value: float | None,
    *,
    shots: int | str = 0,
    strategy: str = "prompt",
    draw: int = 0,
    train: int = 0,
    support: str | None = None,
    limit: int | None = None,
    split: str = "val",
    **changes: Any,
) -> Record:
    """A run; tuned where there are shots."""
    content: dict[str, Any] = {
        "key": f"{zlib.crc32(f'{model}{dataset}{shots}{strategy}{draw}{train}'.encode()):016x}",
        "model": {"name": model, "weights_digest": "0" * 64},
        "dataset": {"name": dataset, "split": split, "fingerprint": "f"},
        "protocol": {"name": "bench", "digest": "0" * 12, "definition": {}},
        "vocabulary": {"names": ["a"], "things": [0], "digest": "0" * 12},
        "scores": {"instance": {"AP": {"value": value}}, "semantic": {"mIoU": {"value": 0.9}}},
        "images": {"asked": 10, "scored": 10, "limit": limit},
        "partial": limit is not None,
        "provenance": {
            "sessions": [SESSION],
            "precision": "float32",
            "seconds": {},
            "peak_memory": 1,
        },
    }
    if shots != 0:
        content["tuning"] = {
            "shots": str(shots),
            "strategy": strategy,
            "draw_seed": draw,
            "train_seed": train,
            "support": support or f"{dataset} {shots} {draw}",
        }
        parameters = COUNTS[strategy]
        content["tuned"] = {"support": ["a"], "parameters": parameters, "seconds": 1.0}
    return Record.parse(json.dumps({**content, **changes}), "here")


def published(
    model: str,
    dataset: str,
    value: float,
    *,
    shots: int | str = 0,
    strategy: str = "prompt",
    spread: float | None = None,
    table: str = "Paper, Table 14",
) -> Record:
    """A number in a paper."""
    content: dict[str, Any] = {
        "key": f"{table} {model} {dataset} {shots} {strategy}",
        "reported": True,
        "source": table,
        "model": {"name": model},
        "dataset": {"name": dataset, "split": "val"},
        "protocol": {"name": "unknown"},
        "scores": {"instance": {"AP": {"value": value, "spread": spread}}},
    }
    if shots != 0:
        content["tuning"] = {"shots": str(shots), "strategy": strategy}
    return Record.parse(json.dumps(content), "here")


def sweep(
    datasets: Sequence[str],
    models: Sequence[str] = ("small", "large"),
    strategies: Sequence[str] = tuple(COUNTS),
    shots: Sequence[int | str] = (1, 3, 5, 10, "all"),
    draws: int = 3,
    trainings: int = 1,
    seed: int = 0,
) -> Iterator[Record]:
    """Every model on every dataset, zero-shot and tuned: more shots score more, and vary less."""
    generator = np.random.default_rng(seed)
    for strength, model in enumerate(models):
        for place, dataset in enumerate(datasets):
            base = 0.1 + 0.08 * strength + 0.5 * (place % 7) / 7
            yield measured(model, dataset, base)
            for gain, strategy in enumerate(strategies):
                for count in shots:
                    rise = (0.03 + 0.01 * gain) * np.log1p(40 if count == "all" else int(count))
                    for draw in range(draws):
                        luck = generator.normal(0, 0.02)
                        for train in range(trainings):
                            value = base + rise + luck + generator.normal(0, 0.01)
                            yield measured(
                                model,
                                dataset,
                                float(np.clip(value, 0, 1)),
                                shots=count,
                                strategy=strategy,
                                draw=draw,
                                train=train,
                            )
