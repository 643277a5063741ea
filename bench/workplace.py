"""Where work is done: names become models and datasets, jobs become assignments.

The command line and notebooks meet here: `run_job` is what executors map over a plan, `evaluate`
the same for one model and one dataset that a person holds in hand.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import catalog
from bench.data.dataset import Dataset
from bench.data.opening import open_dataset
from bench.data.support import Support, Unit, refuse_leaks, support, truth_of, usable_splits
from bench.errors import DataMissing, UsageError
from bench.evaluation import examine
from bench.execute import Assignment, Event, Finished, work
from bench.identity import model_used
from bench.plan import Contents, Job, Plan, plan
from bench.protocol import Protocol
from bench.raw import Numbers
from bench.record import DatasetUsed, Origin, Record, Tuning
from bench.store import DEFAULT_FOLDER, Store
from bench.trained import trained_in
from bench.tune import CHEAPEST, FewShots, tuner_of

DEFAULT_PROTOCOL = "bench"
"""The card where neither the command nor the model's card nor the dataset's spec names one."""


def data_folder() -> Path:
    """Where datasets lie unless a person says otherwise: `BENCH_DATA`, or `./data`."""
    return Path(os.environ.get("BENCH_DATA", "data"))


def results_folder() -> Path:
    """Where results lie unless a person says otherwise: `BENCH_RESULTS`, or `./bench-results`."""
    return Path(os.environ.get("BENCH_RESULTS", DEFAULT_FOLDER))


# --- from names to things ------------------------------------------------------------------------


def load_model(name: str, device: str = "cpu", **settings: Any) -> object:
    """A model by its card's name, a checkpoint's path or `module:attribute`, ready to be asked.

    `settings` are the family's own (`weights`, …).

    >>> type(load_model("colour")).__name__
    'Colour'
    """
    ref = catalog.model(name)
    _refuse_absent(device)
    for setting in ("weights", "cache"):
        if isinstance(settings.get(setting), str):
            settings[setting] = Path(settings[setting])
    return ref.build(device=device, **settings)


def _refuse_absent(device: str) -> None:
    """Say that a device is not here before a model is loaded for it."""
    if device == "cpu":
        return
    import torch  # here: what runs on the processor alone need not wait for it

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without it asserts
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UsageError(
            f"There is no device '{device}' here: {why}. `bench doctor` lists those there are."
        ) from None


def load_dataset(
    name: str | Path,
    split: str | None = None,
    *,
    protocol: str | Protocol | None = None,
    vocabulary: str | None = None,
    tasks: Sequence[str] = (),
    data: Path | str | None = None,
    specs: Sequence[Path | str] = (),
) -> Dataset:
    """A dataset by the name of its spec, or a folder in a layout that is recognised.

    >>> dataset = load_dataset("shapes")
    >>> sample = dataset.load(dataset.ids[0])
    >>> sample.image.shape, sorted(sample.truths)[:3]
    ((128, 128, 3), ['instance', 'panoptic', 'semantic'])
    """
    search = tuple(map(Path, specs))
    spec = catalog.dataset(str(name), search)
    return open_dataset(
        spec,
        root=data_folder() if data is None else Path(data),
        protocol=_card(protocol or spec.protocol or DEFAULT_PROTOCOL, search),
        split=split,
        tasks=tasks or None,
        vocabulary=catalog.vocabulary(vocabulary, search) if vocabulary else None,
        search=search,
    )


def _card(protocol: str | Protocol, specs: Sequence[Path]) -> Protocol:
    return protocol if isinstance(protocol, Protocol) else catalog.protocol(protocol, specs)


@dataclass(frozen=True)
class Workplace:
    """Folders and habits that change no number."""

    results: Path = DEFAULT_FOLDER
    """Where results are written."""
    data: Path = Path("data")
    """Where datasets lie."""
    specs: tuple[Path, ...] = ()
    """Folders of a user's own specs."""
    batch_size: int = 1
    """Images of one size asked together, at most."""
    fail_fast: bool = False
    """Whether the first unreadable image ends its job."""
    again: bool = False
    """Whether finished runs try their unreadable images once more."""
    keep_raw: Numbers | None = None
    """How exactly the network's raw answers are kept; `None`: not at all."""
    compile: bool = False
    """Whether networks are compiled, where their family can."""

    def plan(self, jobs: Sequence[Job]) -> Plan:
        """What these jobs are made of, before any runs; builds each model once, to know it."""
        return plan(jobs, self._resolved)

    def _resolved(self, job: Job) -> tuple[Job, Contents]:
        assignment = self.assign(job, "cpu")
        return assignment.job, assignment.contents

    def assign(self, job: Job, device: str) -> Assignment:
        """Load what a job names.

        Raises:
            BenchError: something it names is unknown, missing or unfit.
        """
        job = self._with_defaults(job)
        assert job.protocol is not None
        assignment = _assigned(
            job,
            _built(job.model, device, job.precision, job.weights, self.compile),
            _opened(self, job.dataset, job.split, job.protocol, job.vocabulary, job.tasks),
            catalog.protocol(job.protocol, self.specs),
            device=device,
            batch_size=self.batch_size,
        )
        return assignment if job.tuning is None else self.tuned(assignment, job.tuning)

    def tuned(
        self, assignment: Assignment, tuning: Tuning, dataset: str | None = None
    ) -> Assignment:
        """The same, with what the model is tuned on before it is asked.

        `dataset` is the name, spec or folder to find it by, where the job's is no such thing.
        """
        job, asked = assignment.job, assignment.examination
        tuner = tuner_of(asked.model, job.model, tuning.strategy)
        where = (dataset or job.dataset, job.split, job.protocol)
        drawn = _drawn(self, *where, tuning.shots, tuning.unit, tuning.draw_seed)
        few = FewShots(tuner, drawn, tuning, asked.dataset.vocabulary, asked.protocol)
        job = job.model_copy(update={"tuning": few.resolved})
        return replace(assignment, job=job, few_shots=few)

    def _with_defaults(self, job: Job) -> Job:
        """The job with split and protocol named, and who decided them."""
        spec, origins = catalog.dataset(job.dataset, self.specs), dict(job.origins)
        changes: dict[str, Any] = {}
        if job.split is None:
            changes["split"], _ = spec.split()
            origins["split"] = Origin.SPEC
        if job.protocol is None:
            changes["protocol"], origins["protocol"] = _protocol(job.model, spec.protocol)
        return job.model_copy(update={**changes, "origins": origins})


def _protocol(model: str | object, of_dataset: str | None) -> tuple[str, Origin]:
    """The card where a person names none: the model's own, the dataset's, or ours."""
    card = catalog.model(model).card if isinstance(model, str) else None
    if card is not None and card.protocol:
        return card.protocol, Origin.CARD
    if of_dataset:
        return of_dataset, Origin.SPEC
    return DEFAULT_PROTOCOL, Origin.DEFAULT


@lru_cache(maxsize=8)  # the datasets of a small suite are opened once for all models
def _opened(
    place: Workplace,
    dataset: str,
    split: str | None,
    protocol: str | None,
    vocabulary: str | None,
    tasks: tuple[str, ...],
) -> Dataset:
    return load_dataset(
        dataset,
        split,
        protocol=protocol,
        vocabulary=vocabulary,
        tasks=tasks,
        data=place.data,
        specs=place.specs,
    )


@lru_cache(maxsize=64)  # strategies, training seeds and models share support sets
def _drawn(
    place: Workplace,
    dataset: str,
    split: str | None,
    protocol: str | None,
    shots: str,
    unit: str,
    seed: int,
) -> Support:
    """The support set of a dataset, none of whose images is in the split that is scored."""
    spec = catalog.dataset(dataset, place.specs)
    part = _first_there(place, dataset, usable_splits(spec, shots, unit), protocol)
    found = support(part, shots, unit=unit, seed=seed)
    refuse_leaks(found.dataset, _opened(place, dataset, split, protocol, None, ()))
    return found


def _first_there(
    place: Workplace, dataset: str, splits: Sequence[str], protocol: str | None
) -> Dataset:
    """The first split whose files are there, with its objects.

    A release has support sets of its own, the exports it was made of have none.
    """
    spec = catalog.dataset(dataset, place.specs)

    def opened(split: str) -> Dataset:
        return _opened(place, dataset, split, protocol, None, (truth_of(spec, split),))

    *better, last = splits
    for split in better:
        with suppress(DataMissing):
            return opened(split)
    return opened(last)


@lru_cache(maxsize=1)  # one model's jobs follow each other, and two may not fit the device
def _built(
    name: str, device: str, precision: str, weights: str | None = None, compile: bool = False
) -> object:
    settings: dict[str, Any] = {} if precision == "float32" else {"precision": precision}
    if compile:
        settings["compile"] = True
    return load_model(name, device, **settings, **weights_setting(weights))


def weights_setting(words: str | None) -> dict[str, Any]:
    """What `--weights` asks of a family's `build`: the model's own, a checkpoint's, or random ones.

    >>> weights_setting("random:7"), weights_setting("runs/best.pt"), weights_setting(None)
    ({'seed': 7}, {'weights': PosixPath('runs/best.pt')}, {})
    """
    if words is None:
        return {}
    kind, _, seed = words.partition(":")
    if kind != "random":
        return {"weights": Path(words)}
    if seed and not seed.isdigit():
        raise UsageError(f"--weights random:SEED takes a whole number, not '{seed}'.")
    return {"seed": int(seed or 0)}


def run_job(place: Workplace, job: Job, device: str) -> Iterator[Event]:
    """Do one job, named things and all: `partial(run_job, place)` is what executors map.

    A job with several cards asks once, and ends with a record for each.
    """
    assignment, *also = [place.assign(each, device) for each in job.apart()]
    yield from work(
        assignment,
        Store(place.results),
        also=also,
        fail_fast=place.fail_fast,
        again=place.again,
        keep_raw=place.keep_raw,
    )


def evaluate(
    model: str | object,
    dataset: str | Path | Dataset,
    *,
    protocol: str | Protocol | None = None,
    tasks: Sequence[str] = (),
    shots: int | str = 0,
    tune: str = CHEAPEST,
    unit: str = "images",
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 1,
    device: str = "cpu",
    results: Path | str | None = None,
    data: Path | str | None = None,
    specs: Sequence[Path | str] = (),
) -> Record:
    """Ask a model about a dataset and score what it says, in one call.

    Either may be a name or the thing itself. With a `results` folder the run is kept there, an
    interrupted one continues, and a finished one is only read; without, nothing stays on disk.

    With `shots` (a number, or `all`) the model is first tuned by the strategy `tune`, on as many
    images of the dataset's training part, or of each class of it by `unit="images-per-class"`. They
    are drawn with `seed`: several seeds are several calls, and `bench run --seeds` does the same.

    >>> record = evaluate("colour", "shapes", tasks=["semantic"], limit=4)
    >>> record.partial, record.images.scored
    (True, 4)
    >>> 0.05 < record.scores["semantic"]["mIoU"].value < 1
    True
    """
    if limit is not None and limit < 1:
        raise UsageError(f"evaluate() takes a limit of at least one image, not {limit}.")
    if isinstance(dataset, Dataset) and str(shots) != "0":
        raise UsageError(
            f"evaluate() with shots={shots} was given dataset '{dataset.name}' as it was opened, "
            "which has only the part that is scored. Give its name, spec or folder."
        )
    of_dataset, named, search = None, str(dataset), tuple(map(Path, specs))
    if not isinstance(dataset, Dataset):
        of_dataset = catalog.dataset(str(dataset), search).protocol
    card = _card(protocol or _protocol(model, of_dataset)[0], search)
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset, protocol=card, tasks=tasks, data=data, specs=search)
    name = model if isinstance(model, str) else str(getattr(model, "name", type(model).__name__))
    asked = {
        "model": name,
        "dataset": dataset.name,
        "split": dataset.split,
        "protocol": card.name,
        "tasks": tuple(tasks),
        "limit": limit,
    }
    job = Job.model_validate({**asked, "origins": dict.fromkeys(asked, Origin.COMMAND_LINE)})
    assignment = _assigned(
        job,
        _built(name, device, job.precision) if isinstance(model, str) else model,
        dataset,
        card,
        device=device,
        batch_size=batch_size,
    )
    if str(shots) != "0":
        place = Workplace(data=data_folder() if data is None else Path(data), specs=search)
        tuning = Tuning(shots=str(shots), strategy=tune, unit=Unit(unit).value, draw_seed=seed)
        assignment = place.tuned(assignment, tuning, named)
    with TemporaryDirectory(prefix="bench-") as passing:
        store = Store(Path(passing if results is None else results))
        *_, last = work(assignment, store)
        assert isinstance(last, Finished)
        store.append(last.record)
    return last.record


def _assigned(
    job: Job, model: object, dataset: Dataset, card: Protocol, *, device: str, batch_size: int
) -> Assignment:
    """A job with the things it names."""
    if job.limit is not None and job.limit < len(dataset.ids):
        dataset = dataset.subset(dataset.ids[: job.limit])
    else:
        job = job.model_copy(update={"limit": None})  # nothing is left out: not partial
    used = model_used(job.called, model, dataset.vocabulary)
    if job.weights is None and job.model not in catalog.models():
        used = used.model_copy(update={"trained": trained_in(Path(job.model))})
    return Assignment(
        job,
        examine(model, dataset, card.for_dataset(dataset.name), job.tasks, name=job.model),
        used,
        DatasetUsed(name=dataset.name, split=dataset.split, fingerprint=dataset.fingerprint),
        device=device,
        batch_size=batch_size,
        vocabulary=job.vocabulary,
        own_name="" if dataset.name in catalog.datasets() else dataset.name,
        notes=dataset.notes,
    )
