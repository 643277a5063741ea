"""A regression gate in a test suite of one's own: `pytest --bench-regress FILE`.

Adds a test for every stage and every score of the reference (see `bench regress`). The gate runs
once, when the first of them does. What is undecided fails, because a gate is passed by evidence;
what cannot be told, or follows from an earlier stage, is skipped.

    pytest --bench-regress nano.json --bench-model out/checkpoint.safetensors

pytest loads this at its start wherever bench is installed, so it imports nothing heavy before a
gate is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.regression.gate import Decision, Gate


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the gate, as for `bench regress`."""
    group = parser.getgroup("bench", "regression gates of bench")
    group.addoption(
        "--bench-regress",
        action="append",
        default=[],
        metavar="FILE",
        help="a reference that `bench baseline` made, or its name: adds its gate to the tests",
    )
    group.addoption("--bench-model", metavar="NAME", help="the model held against it")
    group.addoption("--bench-weights", metavar="FILE", help="weights in place of the model's own")
    group.addoption("--bench-precision", metavar="FORMAT", help="its number format")
    group.addoption("--bench-device", default="cpu", metavar="DEVICE", help="where it works")
    group.addoption("--bench-margin", type=float, metavar="POINTS", help="what a score may lose")
    group.addoption(
        "--bench-new-weights", action="store_true", help="judge scores, not what precedes them"
    )


@pytest.hookimpl(tryfirst=True)  # before `-k` and `-m` choose among the tests
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the tests of every gate after the suite's own."""
    for name in session.config.getoption("--bench-regress"):
        gate = _gate(session.config, name)
        called = f"bench-regress {gate.reference.name}"
        tests = GateTests.from_parent(session, name=called, gate=gate)
        items += session.genitems(tests)


class GateTests(pytest.Collector):
    """The tests of one gate; its decision is made when the first of them runs."""

    def __init__(self, *, gate: Gate, **where: Any) -> None:
        super().__init__(**where)
        self._gate = gate
        self._decision: Decision | Exception | None = None

    def collect(self) -> list[pytest.Item]:
        """A test a stage, in the order of the data, then one a score."""
        return [
            GateTest.from_parent(self, name=f"{kind} {name}", kind=kind, key=name)
            for kind, names in (("stage", stages(self._gate)), ("score", scores(self._gate)))
            for name in names
        ]

    def decision(self) -> Decision:
        """What the gate comes to, or the error that it ends with: the same for all tests."""
        if self._decision is None:
            try:
                self._decision = self._gate.decide()
            except Exception as error:
                self._decision = error
        if isinstance(self._decision, Exception):
            raise self._decision
        return self._decision


class GateTest(pytest.Item):
    """One stage or one score."""

    parent: GateTests

    def __init__(self, *, kind: str, key: str, **where: Any) -> None:
        super().__init__(**where)
        self._kind, self._key = kind, key

    def runtest(self) -> None:
        """Fail with what the gate says of this stage or score."""
        from bench.regression.junit import SKIPPED
        from bench.regression.score_check import Verdict
        from bench.regression.stage_check import Agreement

        decision = self.parent.decision()
        if self._kind == "score":
            judged = next((c for c in decision.scores if c.name == self._key), None)
            if judged is None:
                pytest.skip("not scored: see the stage that diverged")
            if judged.verdict is not Verdict.PASSED:
                raise GateDisagrees(f"{judged.verdict.value}: {judged.reason}")
            return
        check = next((c for c in decision.stages if c.name == self._key), None)
        if check is None or check.agreement in SKIPPED:
            pytest.skip(check.agreement.value if check else "not reached")
        if check.agreement is Agreement.DIVERGED:
            raise GateDisagrees(f"diverged at {check.sentence}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A sentence for what a person can mend; a traceback for a bug."""
        from bench.errors import BenchError

        if isinstance(excinfo.value, GateDisagrees | BenchError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """What a failure's heading says."""
        return self.path, None, f"{self.parent.name}: {self.name}"


class GateDisagrees(Exception):
    """A stage or a score is not what the reference says."""


def stages(gate: Gate) -> Iterator[str]:
    """The names of the stages that a gate compares."""
    from bench.regression.stages import STAGES

    for part in gate.reference.parts:
        there = {stage for image in part.stages.values() for stage in image}
        yield from (f"{part.record.dataset.name}: {s}" for s in STAGES if s in there)


def scores(gate: Gate) -> Iterator[str]:
    """The names of the scores that a gate judges."""
    from bench import tasks

    for part in gate.reference.parts:
        for task in part.record.scores:
            yield f"{part.record.dataset.name}: {task} {tasks.task(task).headline}"


def _gate(config: pytest.Config, name: str) -> Gate:
    """The gate of a reference, as the options have it."""
    from bench.errors import BenchError
    from bench.regression.gate import Gate
    from bench.regression.reference import found
    from bench.regression.score_check import MARGIN, Rules
    from bench.workplace import Workplace, data_folder, results_folder

    asked = config.getoption
    try:
        reference = found(name, results_folder())
    except BenchError as error:
        raise pytest.UsageError(f"--bench-regress {name}: {error}") from None
    points = asked("--bench-margin")
    margin = MARGIN if points is None else points / 100
    return Gate(
        reference,
        Workplace(data=data_folder()),
        Rules(margin, new_weights=asked("--bench-new-weights")),
        model=asked("--bench-model"),
        weights=asked("--bench-weights"),
        precision=asked("--bench-precision"),
        device=asked("--bench-device"),
    )
