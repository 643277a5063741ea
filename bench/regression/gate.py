"""The gate: is a model, with the code and cards around it, still what its reference says?

Two kinds of evidence, each over the images of the reference.

Scores: a paired bootstrap gives the 95 % interval of the difference, now minus then. A score passes
when the whole interval lies above minus the margin, and fails when the whole of it lies below; else
the images are too few to tell. It fails too when the whole interval lies above the upper margin:
nobody complains of a leap, and most leaps are leaks or changed rules.

Stages: on the fixed images, whatever the code shows between image and score is held against what it
was, bit for bit, and where bits differ by distance and envelope (`sketch`, `rounding`); beside it,
the settings that belong to the stage. The first stage to diverge is to blame. That is evidence
only where the weights are meant to be the same ones, in whatever format.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import catalog, tasks
from bench.errors import BenchError, DataError, DataMissing, GateFailed, GateUndecided, UnknownName
from bench.execute import Assignment
from bench.outcome import ImageOutcome
from bench.plan import Job
from bench.regression.reference import Part, Reference
from bench.regression.score_check import DEFAULT, Rules, ScoreCheck, Verdict, judged
from bench.regression.settings import changed_settings, classes_changed
from bench.regression.stage_check import (
    StageCheck,
    blamed,
    check_stages,
    settings_alone,
)
from bench.regression.stages import examine_all
from bench.stats import Difference, differences
from bench.workplace import Workplace

NEW_WEIGHTS = (
    "The weights are not those of the reference; if that is meant, --new-weights judges scores "
    "alone."
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate came to, and on what grounds."""

    reference: str
    model: str
    rules: Rules
    scores: tuple[ScoreCheck, ...]
    stages: tuple[StageCheck, ...]
    other_weights: bool = False
    """Whether the model's weights are not those of the reference, number for number."""

    @property
    def verdict(self) -> Verdict:
        """Failed where anything did, else undecided where anything is."""
        verdicts = {check.verdict for check in self.scores}
        if self.blamed is not None or Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.UNDECIDED if Verdict.UNDECIDED in verdicts else Verdict.PASSED

    @property
    def blamed(self) -> StageCheck | None:
        """The first stage that diverged."""
        return blamed(self.stages)

    @property
    def sentence(self) -> str:
        """The decision for a person."""
        failed = [c for c in self.scores if c.verdict is Verdict.FAILED]
        open_ = [c for c in self.scores if c.verdict is Verdict.UNDECIDED]
        said = [f"{c.name}: {c.reason}" for c in failed or open_]
        if self.blamed is not None:
            said.insert(0, f"The first stage that diverged is {self.blamed.sentence}")
            if self.other_weights and not self.blamed.settings:
                said.insert(1, NEW_WEIGHTS)
        if self.verdict is Verdict.PASSED:
            said = [f"{self.model} does what the reference '{self.reference}' says."]
        return " ".join(said)

    @property
    def error(self) -> BenchError | None:
        """What a command ends with; `None` where the gate is passed."""
        if self.verdict is Verdict.PASSED:
            return None
        kind = GateFailed if self.verdict is Verdict.FAILED else GateUndecided
        word = "failed" if self.verdict is Verdict.FAILED else "undecided"
        return kind(f"Gate '{self.reference}' {word}. {self.sentence}")


# --- running it ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gate:
    """A reference, and what is held against it."""

    reference: Reference
    place: Workplace = field(default_factory=Workplace)
    rules: Rules = DEFAULT
    model: str | None = None
    """The model in question; `None`: the reference's own."""
    weights: str | None = None
    """As for `bench run`; `None`: the model's own, or what the reference's model had."""
    precision: str | None = None
    """The number format; `None`: the reference's."""
    device: str = "cpu"

    @property
    def images(self) -> int:
        """How many images it asks about."""
        return sum(len(part.outcomes) for part in self.reference.parts)

    def decide(self, seen: Callable[[], None] = lambda: None) -> Decision:
        """Run everything that the reference ran, and compare. `seen` is called after each image.

        Raises:
            BenchError: it cannot be run: data or weights are missing, or not what they were.
        """
        _check_names(self.rules.scores, self.reference)
        scores: list[ScoreCheck] = []
        stages: list[StageCheck] = []
        for part in self.reference.parts:
            self._check_there(part.job.dataset)
            assignment = self.place.assign(self._job(part), self.device)
            found = self._part(part, assignment, seen)
            scores += found[0]
            stages += found[1]
        return Decision(
            self.reference.name,
            assignment.job.called,
            self.rules,
            tuple(scores),
            tuple(stages),
            other_weights=assignment.model.weights_digest != self.reference.model.weights_digest,
        )

    def _part(
        self, part: Part, assignment: Assignment, seen: Callable[[], None]
    ) -> tuple[list[ScoreCheck], list[StageCheck]]:
        changed = changed_settings(part.record, assignment.examination)
        if classes_changed(part.record, assignment.examination.dataset.vocabulary):
            return [], settings_alone(part.record.dataset.name, changed)
        _same_data(part, assignment)
        outcomes, shown = examine_all(
            assignment.examination,
            [*part.outcomes],
            [*part.stages],
            batch_size=assignment.batch_size,
            seen=seen,
        )
        stages = check_stages(
            part, shown, changed, assignment.job.precision, new_weights=self.rules.new_weights
        )
        counted = [check for check in stages if check.stage == "metric" and check.settings]
        return [*self._scores(part, assignment, outcomes, comparable=not counted)], stages

    def _check_there(self, dataset: str) -> None:
        """Say of a folder of one's own that it is not where the reference had it."""
        if dataset in catalog.datasets(self.place.specs) or Path(dataset).exists():
            return
        raise DataMissing(
            f"The reference '{self.reference.name}' asks about '{dataset}', and there is no "
            f"dataset or folder of that name here, in {Path.cwd()}. Run this where `bench run` "
            "was run, or give --specs if it is a dataset of a spec of yours."
        )

    def _job(self, part: Part) -> Job:
        """What the reference's run was asked for, of the model in question."""
        changes: dict[str, object] = {}
        if self.model is not None:
            changes |= {"model": self.model, "weights": None}
        if self.weights is not None:
            changes["weights"] = self.weights
        if self.precision is not None:
            changes["precision"] = self.precision
        return part.job.model_copy(update=changes)

    def _scores(
        self,
        part: Part,
        assignment: Assignment,
        outcomes: Mapping[str, ImageOutcome],
        *,
        comparable: bool,
    ) -> Iterator[ScoreCheck]:
        """A check for every score that is judged."""
        examination = assignment.examination
        for task, recorded in part.record.scores.items():
            wanted = self.rules.scores or (tasks.task(task).headline,)
            names = [name for name in recorded if name in wanted]
            found: dict[str, Difference] = {}
            reason = "the metric is defined otherwise than it was, so scores cannot be compared."
            if task not in examination.meters:
                reason = examination.unanswered[task]
            elif comparable:
                for index, meter in enumerate(examination.meters[task]):
                    now = [outcomes[id].statistics[task][index] for id in part.outcomes]
                    found |= differences(meter, now, part.statistics_of(task, index))
            reaches = part.reaches.get(assignment.job.precision, {}).get(task, {})
            for name in names:
                value = recorded[name].value
                then = math.nan if value is None else value
                where = (part.record.dataset.name, task, name, then)
                if name in found:
                    reach = reaches.get(name, 0.0)
                    verdict, why = judged(found[name], self.rules, reach)
                    yield ScoreCheck(*where, verdict, why, found[name], reach)
                else:
                    yield ScoreCheck(*where, Verdict.FAILED, reason)


def _same_data(part: Part, assignment: Assignment) -> None:
    then, now = part.record.dataset, assignment.dataset
    if then.fingerprint != now.fingerprint:
        raise DataError(
            f"The dataset '{now.name}' is not the one of the reference: its fingerprint is "
            f"{now.fingerprint}, and was {then.fingerprint}. Its files or its spec have changed "
            "since, or --data names another folder."
        )


def _check_names(scores: Sequence[str], reference: Reference) -> None:
    known = {name for part in reference.parts for of in part.record.scores.values() for name in of}
    for name in scores:
        if name not in known:
            raise UnknownName("score", name, known)
