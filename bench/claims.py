"""Claims: published numbers, what it takes to get each again, and what came of trying.

A claim is one printed number. It is held against the whole, measured records of the same system on
the same split with the dataset's own words, tuned alike; a run of some of the images never counts.
It is reproduced if the printed number, give or take half of its last digit, lies in the 95 %
interval of what was measured. Where nothing was measured, what is missing is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from bench import catalog, reported
from bench.data.opening import home_of
from bench.errors import UnknownName
from bench.measured import Measurement, Measurements
from bench.printed import UNKNOWN, Cell, PrintedTable
from bench.record import Record
from bench.weights import Released, stored

FINETUNED = "finetuned"
"""The strategy of published systems of which all parameters were tuned to the dataset."""


class Status(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    """Measured, and the printed number lies in the interval."""
    OFF = "off"
    """Measured, and it does not."""
    UNDECIDED = "no interval"
    """Measured, but without the images' statistics there is no interval to decide by."""
    NOT_ATTEMPTED = "not attempted"
    """Nothing was measured of it; the weights are there, or were published."""
    NOT_RELEASED = "weights not released"
    """Nothing was measured of it, and nobody published the weights."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A printed number."""

    table: str
    """Where it is printed, as `bench.reported.table` calls it."""
    column: str
    cell: Cell
    record: Record
    """The cell's."""

    @property
    def printed(self) -> float:
        """The number as a fraction."""
        assert self.cell.value is not None
        return self.cell.value

    @property
    def half_digit(self) -> float:
        """Half a unit of the last printed digit: how far rounding may have moved the number."""
        decimals = self.cell.text.partition("±")[0].partition(".")[2]
        return float(0.5 * 10 ** -(len(decimals) + 2))

    @property
    def card(self) -> str:
        """Whose runs it is about: a card's name, or the printed name where no card is known."""
        publication = self.record.publication
        return (publication and publication.card) or self.record.model.name

    @property
    def protocol(self) -> str | None:
        """The card of released code that is nearest to what was done, where one is."""
        name = self.record.protocol.name
        return None if name == UNKNOWN else name


@dataclass(frozen=True, slots=True)
class Needs:
    """What it takes to measure a claim here."""

    weights: str
    """In words; empty: they are here."""
    data: str
    """In words; empty: they are here."""
    protocol: str | None
    command: str | None
    """What measures it once weights and data are there; `None`: nothing that is published."""

    @property
    def missing(self) -> str:
        """What is not here, in words; empty: nothing is."""
        return "; ".join(filter(None, (self.weights, self.data)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim, what it needs and what was measured of it."""

    claim: Claim
    needs: Needs
    measured: Measurement | None
    status: Status

    @property
    def off_by(self) -> float | None:
        """Measured less printed."""
        return None if self.measured is None else self.measured.value - self.claim.printed


# --- which ---------------------------------------------------------------------------------------


def claims(targets: Sequence[str] = (), search: catalog.Search = ()) -> tuple[Claim, ...]:
    """The claims of tables, systems, suites and datasets by name; of all tables without any.

    Names of one kind add up, and kinds narrow each other: `table2 xdecoder-T` is that row of it.
    A system is called as its card, or as it is printed.

    Raises:
        UnknownName: a name is none of these.
    """
    everything = tuple(_all())
    tables, systems, datasets = _sorted(targets, everything, search)
    drawn = [name for name in tables if name.startswith("figure")]
    if drawn:
        everything = tuple(c for name in tables for c in _claims_of(reported.table(name)))
    return tuple(
        claim
        for claim in everything
        if (not tables or claim.table in tables)
        and (not systems or systems & _names(claim))
        and (not datasets or claim.record.dataset.name in datasets)
    )


def _all() -> Iterator[Claim]:
    """Every claim once: figures repeat those of tables."""
    for name in reported.names():
        if not name.startswith("figure"):
            yield from _claims_of(reported.table(name))


def _claims_of(table: PrintedTable) -> Iterator[Claim]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.record is not None:
                yield Claim(table.name, column.name, cell, cell.record)


def _names(claim: Claim) -> set[str]:
    """What the system of a claim is called: by its card, in records, and in print."""
    publication = claim.record.publication
    printed = publication.row.split(" · ")[0] if publication else ""
    return {claim.card, claim.record.model.name, printed}


def _sorted(
    targets: Sequence[str], everything: Sequence[Claim], search: catalog.Search
) -> tuple[list[str], set[str], set[str]]:
    """Names as tables, systems and datasets; a suite that a table is called by is the table."""
    systems = {name for claim in everything for name in _names(claim)}
    datasets = {claim.record.dataset.name for claim in everything}
    tables = set(reported.names())
    suites = set(catalog.suites(search))
    found: tuple[list[str], set[str], set[str]] = ([], set(), set())
    for name in targets:
        if name in tables:
            found[0].append(name)
        elif name in systems:
            found[1].add(name)
        elif name in suites:
            members = catalog.suite(name, search).members
            found[2].update({name} | {member.dataset for member in members})
        elif name in datasets:
            found[2].add(name)
        else:
            raise UnknownName(
                "table, system, dataset or suite", name, tables | systems | datasets | suites
            )
    return found


# --- what they need ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Surroundings:
    """What there is to measure claims with: data, and the weights that were fetched."""

    data: Path
    """The data folder."""
    search: catalog.Search = ()
    _data: dict[tuple[str, str], str] = field(default_factory=dict, init=False, repr=False)
    _weights: dict[str, tuple[str, bool]] = field(default_factory=dict, init=False, repr=False)

    def needs(self, claim: Claim, model: str | None = None) -> Needs:
        """What is missing for a claim, and the command that measures it, of `model` if given."""
        data = self.data_of(claim.record.dataset.name, claim.record.dataset.split)
        if model is not None:
            return Needs("", data, claim.protocol, _command(claim, model))
        publication, released = claim.record.publication, self.is_released(claim)
        weights = self.weights_of(claim.card)[0] if released else "no weights were released"
        recipe = publication.recipe if publication else None
        if recipe and (not released or _is_finetuned(claim)):
            weights = "; ".join(filter(None, (weights, f"bench train {recipe}")))
        tuned_elsewhere = claim.record.tuning is not None and recipe and not _is_borrowed(claim)
        known = released and claim.card in self._cards and not tuned_elsewhere
        return Needs(weights, data, claim.protocol, _command(claim, claim.card) if known else None)

    def is_released(self, claim: Claim) -> bool:
        """Whether its weights were published, or nobody here knows that they were not."""
        publication = claim.record.publication
        if publication and publication.released is False:
            return False
        return self.weights_of(claim.card)[1]

    @cached_property
    def _cards(self) -> Mapping[str, object]:
        return catalog.models()

    def weights_of(self, name: str) -> tuple[str, bool]:
        """What is missing of a model, in words, and whether its weights were published."""
        if name not in self._weights:
            self._weights[name] = self._looked_up(name)
        return self._weights[name]

    def _looked_up(self, name: str) -> tuple[str, bool]:
        if name not in self._cards:
            return "no model here answers to this name", True
        weights = getattr(self._cards[name], "weights", None)
        if weights is None:
            return "no weights were released", False
        if isinstance(weights, Released):
            return ("" if stored(name) else f"bench models fetch {name}"), True
        return str(weights) if str(weights).startswith("hub cache") else "", True

    def data_of(self, dataset: str, split: str) -> str:
        """What is missing of a dataset or suite, in words."""
        if (dataset, split) not in self._data:
            self._data[dataset, split] = self._looked_for(dataset, split)
        return self._data[dataset, split]

    def _looked_for(self, dataset: str, split: str) -> str:
        names = [dataset]
        if dataset in catalog.suites(self.search):
            names = [member.dataset for member in catalog.suite(dataset, self.search).members]
        specs = [catalog.dataset(name, self.search) for name in names]
        if split not in specs[0].splits:
            return f"the answers of {split}, which only a server has"
        missing = [spec.name for spec in specs if not home_of(spec, self.data).path.is_dir()]
        if len(missing) == len(names) > 1:
            return f"the {len(names)} datasets of {dataset}"
        return f"data of {', '.join(missing)}" if missing else ""


def _is_finetuned(claim: Claim) -> bool:
    """Whether all parameters were tuned to the dataset: the system is another checkpoint."""
    return claim.record.tuning is not None and claim.record.tuning.strategy == FINETUNED


def _is_borrowed(claim: Claim) -> bool:
    """Whether its card has another name: then the card's checkpoint is the one that was scored."""
    return claim.card != claim.record.model.name


def _command(claim: Claim, model: str) -> str:
    """What measures a claim of a model."""
    tuning = claim.record.tuning
    words = ["bench run", claim.record.dataset.name, "--model", model]
    if tuning and not _is_finetuned(claim):
        words += ["--shots", tuning.shots, "--tune", tuning.strategy]
        if claim.cell.number and claim.cell.number.spread is not None:
            words += ["--seeds", "3"]
    if claim.protocol:
        words += ["--protocol", claim.protocol]
    return " ".join(words)


# --- what came of them ---------------------------------------------------------------------------


def judge(
    found: Sequence[Claim],
    measurements: Measurements,
    surroundings: Surroundings,
    *,
    model: str | None = None,
) -> tuple[Verdict, ...]:
    """Hold claims against what was measured.

    With `model`, that model's runs are held against all of them, whoever they are of: to see how
    far a checkpoint of one's own is from what others printed.
    """
    return tuple(_judged(claim, measurements, surroundings, model) for claim in found)


def _judged(
    claim: Claim, measurements: Measurements, surroundings: Surroundings, model: str | None
) -> Verdict:
    record = claim.record
    tuning = record.tuning
    if _is_finetuned(claim) and (model is not None or _is_borrowed(claim)):
        tuning = None  # the checkpoint itself is the tuned one
    measured = measurements.of(
        model or claim.card,
        record.dataset.name,
        record.dataset.split,
        claim.cell.task,
        claim.cell.score,
        tuning=tuning,
        protocol=claim.protocol,
    )
    status = _status(claim, measured)
    if status is None:
        there = model is not None or surroundings.is_released(claim)
        status = Status.NOT_ATTEMPTED if there else Status.NOT_RELEASED
    return Verdict(claim, surroundings.needs(claim, model), measured, status)


def _status(claim: Claim, measured: Measurement | None) -> Status | None:
    if measured is None:
        return None
    if measured.bounds is None:
        return Status.UNDECIDED
    low, high = measured.bounds
    near = claim.half_digit
    inside = low - near <= claim.printed <= high + near
    return Status.REPRODUCED if inside else Status.OFF
