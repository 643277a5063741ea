"""References to test with: of the small X-Decoder, as shipped, or made here until one ships."""

import base64

from bench.evaluation import score
from bench.execute import Finished, recorded
from bench.outcome import write_statistics
from bench.plan import Job
from bench.record import Record
from bench.regression.reference import Part, Reference, make, shipped
from bench.stats import meters_of
from bench.store import Store
from bench.workplace import Workplace, run_job

NANO = "xdecoder-nano"


def run(place: Workplace, **asked: object) -> Record:
    """A run, done and kept in a workplace."""
    *_, last = run_job(place, Job.model_validate(asked), "cpu")
    assert isinstance(last, Finished)
    Store(place.results).append(last.record)
    return last.record


def nano(place: Workplace) -> Reference:
    """Of `xdecoder-nano` on `shapes`."""
    if NANO in shipped():
        return Reference.read(shipped()[NANO])
    record = run(place, model=NANO, weights="random", dataset="shapes", limit=24)
    return make(NANO, [record], place, allow=["bfloat16"])


def on_fixed_images(reference: Reference) -> Reference:
    """The same with the images alone whose stages it shows: a gate of a second."""
    (part,) = reference.parts
    kept = [outcome for id, outcome in part.outcomes.items() if id in part.stages]
    record = part.record
    scores = recorded(score(meters_of(record), kept))
    fewer = part.model_copy(
        update={
            "record": record.model_copy(update={"scores": scores}),
            "statistics": base64.b64encode(write_statistics(kept)).decode(),
        }
    )
    return reference.model_copy(
        update={"parts": (Part.model_validate_json(fewer.model_dump_json()),)}
    )
