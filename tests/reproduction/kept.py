"""Records of trained models, as a run would leave them."""

from datetime import UTC, datetime

from bench.record import (
    DatasetUsed,
    Images,
    ModelUsed,
    ProtocolUsed,
    Provenance,
    Record,
    RecordedScore,
    Seconds,
    Session,
    Trained,
    Tuned,
    Tuning,
)

SESSION = Session(
    started=datetime(2024, 5, 1, tzinfo=UTC),
    revision=None,
    dirty=None,
    packages={},
    python="CPython 3.11",
    platform="Linux",
    device="cpu",
    batch_size=1,
)


def record(model, dataset, split, scores, *, trained=None, limit=None, tuning=None, interval=None):
    """A measured record; `scores` are numbers by task and score."""
    return Record(
        key="-".join(map(str, (model, dataset, split, trained, limit, tuning))),
        model=ModelUsed(name=model, trained=trained),
        dataset=DatasetUsed(name=dataset, split=split, fingerprint="f"),
        protocol=ProtocolUsed(name="bench", digest="d"),
        tuning=tuning and Tuning(shots=tuning[0], strategy=tuning[1]),
        tuned=Tuned(support=("1",), parameters=1, seconds=1.0) if tuning else None,
        scores={
            task: {
                name: RecordedScore(value=value, n=1, interval=interval)
                for name, value in of_task.items()
            }
            for task, of_task in scores.items()
        },
        images=Images(asked=limit or 500, scored=limit or 500, limit=limit),
        partial=limit is not None,
        provenance=Provenance(
            sessions=(SESSION,), precision="float32", seconds=Seconds(), peak_memory=1
        ),
    )


def of_training(recipe, seed, dataset, split, scores, *, steps=400, before=1500, **more):
    """The same of a model that was trained for a table."""
    how = Trained(
        recipe=recipe, digest="0" * 12, seed=seed, steps=steps, before=before, seconds=400.0
    )
    return record(recipe, dataset, split, scores, trained=how, **more)
