"""What runs are called on a page: their model, and what tells them from the others there."""

from collections.abc import Mapping, Sequence

from bench.record import Record


def labels(records: Sequence[Record]) -> dict[str, str]:
    """A name for each run by its key, unique among the runs on one dataset.

    A model's name is enough where each dataset has one run of it; a tuned model always says so.
    Where all runs are of one model, what tells them apart is enough.
    """
    told = {record.key: [record.model.name, *_said(record, records)] for record in records}
    if len({record.model.name for record in records}) == 1:  # then the title names it
        told = {key: parts[1:] or parts for key, parts in told.items()}
    names = {key: " · ".join(parts) for key, parts in told.items()}
    for record in records:
        rivals = [r for r in records if _place(r) == _place(record) and r.key != record.key]
        if any(names[rival.key] == names[record.key] for rival in rivals):
            told[record.key].append(record.key[:8])
    return {key: " · ".join(parts) for key, parts in told.items()}


def _said(record: Record, records: Sequence[Record]) -> list[str]:
    """The parts of a run's name after the model's."""
    namesakes = [r for r in records if r.model.name == record.model.name]
    own = _parts(record)
    return [
        text
        for part, text in own.items()
        if text and (_varies(part, namesakes) or (part == "tuning" and record.tuning is not None))
    ]


def _varies(part: str, records: Sequence[Record]) -> bool:
    """Whether a part differs between runs of one model: weights anywhere, others on one dataset."""
    if part == "weights":
        return len({_parts(record)[part] for record in records}) > 1
    found: dict[tuple[str, str], set[str]] = {}
    for record in records:
        text = _parts(record)[part]
        if text or part not in _OF_TUNING:
            found.setdefault(_place(record), set()).add(text)
    return any(len(values) > 1 for values in found.values())


_OF_TUNING = ("draw", "seed")
"""Parts that only tuned runs have: lacking them is no difference."""


def _place(record: Record) -> tuple[str, str]:
    return record.dataset.name, record.dataset.split


def _parts(record: Record) -> Mapping[str, str]:
    tuning, made, images = record.tuning, record.provenance, record.images
    vocabulary = record.vocabulary.name if record.vocabulary else None
    protocol = f"protocol {record.protocol.name}"
    return {
        "tuning": shots_of(record),
        "draw": f"draw {tuning.draw_seed}" if tuning else "",
        "seed": f"seed {tuning.train_seed}" if tuning else "",
        "protocol": protocol,
        "rules": f"rules {(record.protocol.digest or '')[:6]}",
        "vocabulary": f"vocabulary {vocabulary}" if vocabulary else "",
        "precision": made.precision if made else "",
        "weights": f"weights {(record.model.weights_digest or 'none')[:8]}",
        "limit": f"first {images.limit} images" if images and images.limit else "",
    }


def shots_of(record: Record) -> str:
    """How many images a run's model was tuned on, and how: «5-shot prompt»."""
    tuning = record.tuning
    if tuning is None:
        return "zero-shot"
    count = "all shots" if tuning.shots == "all" else f"{tuning.shots}-shot"
    each = " per class" if tuning.unit == "images-per-class" else ""
    return f"{count}{each} {tuning.strategy}"
