"""A reference: what is kept of runs so that others can be held against them. One JSON file.

It has the record of each run, the statistics of its images, and sketches of every stage on eight of
them, with how far rounding moves each. No weights and no images: some hundred images take a few
hundred kilobytes.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from bench.durable import whole
from bench.errors import DataError, DataMissing, UnknownName, UsageError
from bench.evaluation import Examination
from bench.execute import Assignment
from bench.metrics.meter import Statistics
from bench.outcome import ImageOutcome, read_statistics, write_statistics
from bench.plan import Job
from bench.record import Kept, ModelUsed, Record
from bench.regression.rounding import Envelope, envelope, of_machines
from bench.regression.sketch import Sketch
from bench.regression.stages import examine_all, fixed_images, show
from bench.stats import differences, with_intervals
from bench.store import Store
from bench.workplace import Workplace

SCHEMA: Literal[1] = 1
FOLDER = "references"
"""Of a results folder, and of the package's own: where references are found by name."""


class Part(Kept):
    """One run: a model on a dataset."""

    record: Record
    """What was asked and what came out, with intervals."""
    statistics: str
    """What its meters kept of every scored image, as `bench.outcome` writes it, in base64."""
    stages: dict[str, dict[str, dict[str, Sketch]]]
    """Of a few images: sketches by image, stage and array."""
    envelopes: dict[str, Envelope]
    """By number format, how far rounding may move each array."""
    reaches: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    """By other number format, task and score, how far the format alone moves it: the farther end of
    the 95 % interval of the difference, as a fraction."""

    @cached_property
    def outcomes(self) -> Mapping[str, ImageOutcome]:
        """The scored images by id, in the dataset's order."""
        return read_statistics(BytesIO(base64.b64decode(self.statistics)))

    @property
    def job(self) -> Job:
        """What was asked, by name."""
        return job_of(self.record)

    def statistics_of(self, task: str, meter: int) -> list[Statistics]:
        """What one meter kept of each image."""
        return [outcome.statistics[task][meter] for outcome in self.outcomes.values()]


class Reference(Kept):
    """What runs of one model are held against."""

    schema_version: Literal[1] = SCHEMA
    """The version of this layout."""
    name: str
    """What it is called."""
    parts: tuple[Part, ...] = Field(min_length=1)
    """A run a dataset."""

    @property
    def model(self) -> ModelUsed:
        """Whose runs they are."""
        return self.parts[0].record.model

    def write(self, path: Path) -> None:
        """Keep it as a file; an older one of that name is replaced."""
        content = json.dumps(self.model_dump(mode="json"), separators=(",", ":"))
        with whole(path, "--out") as unfinished:
            unfinished.write_text(content + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """The reference in a file.

        Raises:
            DataMissing: there is none.
            DataError: it is no reference, or one of another version.
        """
        if not path.is_file():
            raise DataMissing(f"There is no reference at {path}; `bench baseline` makes one.")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"]) or "the file"
            raise DataError(
                f"{path} is no reference of schema {SCHEMA}: {key}: {first['msg']}. "
                "Make it again with `bench baseline`."
            ) from None


# --- finding one ---------------------------------------------------------------------------------


def found(name: str, results: Path) -> Reference:
    """The reference in a file, or of a name: one kept in a results folder, or one that ships.

    Raises:
        UnknownName, DataMissing, DataError: there is none, or it cannot be read.
    """
    if name.endswith(".json") or "/" in name:
        return Reference.read(Path(name))
    places = {**shipped(), **_named(_kept(results))}
    if name not in places:
        hint = f"They are looked for in {_kept(results)}; `bench baseline RUN --name {name}`."
        raise UnknownName("reference", name, places, hint=hint)
    return Reference.read(places[name])


def shipped() -> dict[str, Path]:
    """The references that ship with the package, by name."""
    return _named(Path(str(files("results").joinpath(FOLDER))))


def place_of(name: str, results: Path) -> Path:
    """Where the reference of a name is kept in a results folder.

    Raises:
        UsageError: a file cannot be called so.
    """
    if not re.fullmatch(r"[\w@+-][\w@+. -]*", name):
        raise UsageError(
            f"A reference is called by letters, digits, dots and dashes, not '{name}'; --out takes "
            "any file."
        )
    return _kept(results) / f"{name}.json"


def _kept(results: Path) -> Path:
    return results / FOLDER


def _named(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


# --- making one ----------------------------------------------------------------------------------


def make(
    name: str,
    records: Sequence[Record],
    place: Workplace,
    device: str = "cpu",
    *,
    allow: Sequence[str] = (),
    seen: Callable[[], None] = lambda: None,
) -> Reference:
    """A reference from finished runs, whose model is asked once more about the fixed images.

    Args:
        name: what it is called.
        records: of one model.
        place: where its runs and datasets lie.
        device: where the model works.
        allow: number formats, besides the run's own, that the model may later be run in: it is
            asked about every image in each, to know what that alone does to stages and scores.
        seen: called after each image that is asked about for `allow`.

    Raises:
        UsageError: a run cannot be a reference, or they are of several models, or the model has no
            such format.
        DataError: data, weights or card are not what they were when the run was made.
    """
    asked = {(job_of(r).called, r.model.weights_digest) for r in records}
    if len(asked) > 1:
        models = ", ".join(sorted({called for called, _ in asked}))
        raise UsageError(f"A reference is of one model, not of {models}: make one for each.")
    parts = tuple(_part(record, place, device, allow, seen) for record in records)
    return Reference(name=name, parts=parts)


def job_of(record: Record) -> Job:
    """What a measured run was asked for."""
    asked = {name: setting.value for name, setting in record.settings.items()}
    origins = {name: setting.origin for name, setting in record.settings.items()}
    return Job.model_validate_json(json.dumps({**asked, "origins": origins}))


def _part(
    record: Record,
    place: Workplace,
    device: str,
    allow: Sequence[str],
    seen: Callable[[], None],
) -> Part:
    store = Store(place.results)
    outcomes = store.statistics(record.key)
    _fit_to_be_kept(record, outcomes is not None)
    assert outcomes is not None
    scored = {id: outcome for id, outcome in outcomes.items() if outcome.failure is None}
    assignment = place.assign(job_of(record), device)
    _still_the_same(record, assignment)
    images = fixed_images([*scored])
    _, shown = show(assignment.examination, images)
    envelopes: dict[str, Envelope] = {}
    if own := of_machines(assignment.examination, images, shown):
        envelopes[assignment.job.precision] = own
    reaches = {}
    for format in allow:
        job = assignment.job.model_copy(update={"precision": format})
        examination = place.assign(job, device).examination
        now, moved = examine_all(examination, [*scored], images, seen=seen)
        envelopes[format] = envelope(moved, shown)
        reaches[format] = _reaches(examination, now, scored)
    return Part(
        record=with_intervals(record, store),
        statistics=base64.b64encode(write_statistics(_without_seconds(scored.values()))).decode(),
        stages=shown,
        envelopes=envelopes,
        reaches=reaches,
    )


def _reaches(
    examination: Examination, now: Mapping[str, ImageOutcome], then: Mapping[str, ImageOutcome]
) -> dict[str, dict[str, float]]:
    """How far each score may be moved, judged by how far it was."""
    found: dict[str, dict[str, float]] = {}
    for task, meters in examination.meters.items():
        for index, meter in enumerate(meters):
            new, old = ([o[id].statistics[task][index] for id in then] for o in (now, then))
            for name, moved in differences(meter, new, old).items():
                if moved.interval.low == moved.interval.low:
                    reach = max(abs(moved.interval.low), abs(moved.interval.high))
                    found.setdefault(task, {})[name] = reach
    return found


def _fit_to_be_kept(record: Record, has_statistics: bool) -> None:
    if record.reported or not has_statistics:
        why = "there are no per-image statistics of it"
    elif record.tuning is not None:
        why = "its model was tuned first: save that model, run it, and keep that run"
    elif record.provenance is not None and record.provenance.rescored_from:
        why = "it was scored from kept answers: run the model under that card"
    else:
        return
    raise UsageError(f"Run {record.key} cannot be a reference: {why}.")


def _still_the_same(record: Record, assignment: Assignment) -> None:
    """Refuse to mix a run with what has become of its model, data or card since."""
    changed = [
        what
        for what, then, now in (
            ("dataset", record.dataset.fingerprint, assignment.dataset.fingerprint),
            ("weights", record.model.weights_digest, assignment.model.weights_digest),
            (
                "protocol card",
                record.protocol.digest,
                assignment.examination.protocol.digest(),
            ),
        )
        if then != now
    ]
    if changed:
        raise DataError(
            f"Run {record.key} cannot be a reference any more: its {' and '.join(changed)} changed "
            "since it was made. Run it again."
        )


def _without_seconds(outcomes: Iterable[ImageOutcome]) -> list[ImageOutcome]:
    return [ImageOutcome(outcome.id, outcome.statistics) for outcome in outcomes]
