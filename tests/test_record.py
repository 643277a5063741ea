"""Records survive their line, refuse what is not theirs, and document every field."""

import ast
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

import bench.record
from bench.errors import DataError
from bench.metrics.meter import Score
from bench.record import (
    DatasetUsed,
    FailedImage,
    Images,
    ModelUsed,
    Origin,
    ProtocolUsed,
    Provenance,
    Record,
    RecordedScore,
    Seconds,
    Session,
    Setting,
    Tuned,
    Tuning,
    VocabularyUsed,
)

text = st.text(max_size=8)
fraction = st.none() | st.floats(0, 1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
scores = st.dictionaries(
    st.sampled_from(["semantic", "panoptic"]),
    st.dictionaries(
        text,
        st.builds(
            RecordedScore,
            value=fraction,
            n=st.none() | st.integers(0),
            by_class=st.none() | st.dictionaries(text, fraction, max_size=3),
            interval=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
        ),
        max_size=3,
    ),
    max_size=2,
)
sessions = st.builds(
    Session,
    started=st.datetimes(timezones=st.just(UTC)),
    revision=st.none() | text,
    dirty=st.none() | st.booleans(),
    packages=st.dictionaries(text, text, max_size=2),
    python=text,
    platform=text,
    device=text,
    batch_size=st.integers(1),
)


@st.composite
def measured(draw: st.DrawFn) -> Record:
    failed = draw(st.integers(0, 120))
    scored = draw(st.integers(0, 10**6))
    limit = draw(st.none() | st.just(scored + failed))
    listed = tuple(FailedImage(id=str(n), reason="r") for n in range(min(failed, 100)))
    tuning = draw(st.none() | st.builds(Tuning, shots=text, strategy=text))
    return Record(
        key=draw(text),
        model=draw(st.builds(ModelUsed, name=text, notes=st.lists(text).map(tuple))),
        dataset=draw(st.builds(DatasetUsed, name=text, split=text, fingerprint=text)),
        protocol=draw(
            st.builds(
                ProtocolUsed, name=text, digest=text, definition=st.dictionaries(text, json_values)
            )
        ),
        vocabulary=draw(st.builds(VocabularyUsed, names=st.lists(text).map(tuple), digest=text)),
        tuning=tuning,
        tuned=None
        if tuning is None
        else Tuned(support=("a",), parameters=3, seconds=draw(st.floats(0, 9))),
        settings=draw(
            st.dictionaries(
                text, st.builds(Setting, value=json_values, origin=st.sampled_from(Origin))
            )
        ),
        scores=draw(scores),
        images=Images(
            asked=scored + failed, scored=scored, failed=failed, failures=listed, limit=limit
        ),
        partial=bool(failed or limit is not None),
        provenance=Provenance(
            sessions=tuple(draw(st.lists(sessions, min_size=1, max_size=2))),
            precision="float32",
            seconds=Seconds(ask=draw(st.floats(0, 1e9))),
            peak_memory=draw(st.integers(0)),
        ),
    )


@given(measured())
def test_a_record_survives_its_line(record: Record) -> None:
    line = record.line()
    assert "\n" not in line
    assert Record.parse(line, "here") == record
    assert Record.parse(line, "here").line() == line


def reported(**changes: object) -> Record:
    content: dict[str, object] = {
        "key": "paper-table-1",
        "reported": True,
        "source": "the paper, Table 1",
        "model": {"name": "x"},
        "dataset": {"name": "d", "split": "val"},
        "protocol": {"name": "unknown"},
        "scores": {"semantic": {"mIoU": {"value": 0.25}}},
    }
    return Record.parse(json.dumps(content | changes), "here")


def test_a_published_number_needs_its_source_and_nothing_nobody_knows() -> None:
    assert reported().scores["semantic"]["mIoU"].n is None
    with pytest.raises(DataError, match="state their source"):
        reported(source=None)


def test_a_measured_record_needs_its_provenance() -> None:
    with pytest.raises(DataError, match="needs its images and provenance"):
        reported(reported=False, source=None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scroes": {}}, "scroes"),
        ({"schema_version": 2}, "schema_version"),
        ({"partial": "no"}, "partial"),
        ({"scores": {"semantic": {"mIoU": {"value": "high"}}}}, "scores.semantic.mIoU.value"),
    ],
)
def test_what_is_not_a_record_is_refused_by_name(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=f"here is not a record of schema 1: {said}"):
        reported(**changes)


def test_partial_cannot_be_left_unsaid() -> None:
    session = Session(
        started=datetime.now(UTC),
        revision=None,
        dirty=None,
        packages={},
        python="CPython",
        platform="Linux",
        device="cpu",
        batch_size=1,
    )
    with pytest.raises(ValidationError, match="partial means"):
        Record(
            key="k",
            model=ModelUsed(name="m"),
            dataset=DatasetUsed(name="d", split="s"),
            protocol=ProtocolUsed(name="p"),
            scores={},
            images=Images(asked=3, scored=3, limit=3),
            provenance=Provenance(
                sessions=(session,), precision="float32", seconds=Seconds(), peak_memory=1
            ),
        )


def test_nothing_to_score_is_null_not_zero() -> None:
    kept = RecordedScore.of(Score(float("nan"), 0, {"cat": float("nan"), "dog": 0.5}))
    assert kept.value is None
    assert kept.by_class == {"cat": None, "dog": 0.5}


def test_every_field_has_a_line_of_documentation_under_it() -> None:
    tree = ast.parse(Path(bench.record.__file__).read_text())
    undocumented = []
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for statement, following in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign):
                documented = isinstance(following, ast.Expr) and isinstance(
                    following.value, ast.Constant
                )
                if not documented:
                    undocumented.append(f"{cls.name}.{ast.unparse(statement.target)}")
    assert undocumented == []
    assert issubclass(Record, BaseModel)
