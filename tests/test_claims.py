"""A claim is reproduced by whole runs of the same thing, within their interval, and by no other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from bench import catalog, reported
from bench.claims import Status, Surroundings, Verdict, claims, judge
from bench.cli import build_app
from bench.errors import UnknownName
from bench.measured import Measurements, student
from bench.record import Record
from bench.store import Store

SESSION = {
    "started": "2024-05-01T00:00:00Z",
    "revision": None,
    "dirty": None,
    "packages": {},
    "python": "CPython",
    "platform": "Linux",
    "device": "cpu",
    "batch_size": 1,
}


def measured(value: float = 0.19, **changes: Any) -> Record:
    """A whole run of xdecoder-T on ADE20K-150, of which Table 2 prints 18.8 PQ."""
    bounds = changes.pop("interval", (value - 0.01, value + 0.01))
    task, score = changes.pop("of", ("panoptic", "PQ"))
    limit = changes.pop("limit", None)
    content = {
        "key": f"run {value} {sorted(map(str, changes.items()))} {limit}",
        "model": {"name": changes.pop("model", "xdecoder-T")},
        "dataset": {
            "name": changes.pop("dataset", "ade20k-150"),
            "split": changes.pop("split", "val"),
        },
        "protocol": {"name": changes.pop("protocol", "xdecoder-2022")},
        "scores": {task: {score: {"value": value, "interval": bounds}}},
        "images": {"asked": 10, "scored": 10, "limit": limit},
        "partial": limit is not None,
        "provenance": {
            "sessions": [SESSION],
            "precision": "float32",
            "seconds": {},
            "peak_memory": 1,
        },
        **changes,
    }
    return Record.parse(json.dumps(content), "here")


def tuned(shots: str, strategy: str, seed: int = 0) -> dict[str, Any]:
    return {
        "tuning": {"shots": shots, "strategy": strategy, "draw_seed": seed},
        "tuned": {"support": ["a"], "parameters": 1, "seconds": 1.0},
    }


def store_of(folder: Path, *records: Record) -> Store:
    store = Store(folder / "results")
    for record in records:
        store.append(record)
    return store


def verdicts(folder: Path, *records: Record, of: str, **options: Any) -> list[Verdict]:
    """What becomes of the claims `of` names, by words, where these runs are there."""
    found = Measurements(store_of(folder, *records))
    return list(judge(claims(of.split()), found, Surroundings(folder / "data"), **options))


def verdict(folder: Path, *records: Record, score: str = "PQ", **options: Any) -> Verdict:
    """Of the claim of Table 2 that xdecoder-T scores 18.8 PQ on ADE20K-150."""
    found = verdicts(folder, *records, of="table2 xdecoder-T ade20k-150", **options)
    (one,) = (v for v in found if v.claim.cell.score == score)
    return one


# --- which ---------------------------------------------------------------------------------------


def test_every_printed_number_is_one_claim() -> None:
    everything = claims()
    printed = sum(len(scores) for record in reported.records() for scores in record.scores.values())
    numbers = {(claim.record.key, claim.cell.task, claim.cell.score) for claim in everything}
    assert len(everything) == len(numbers)
    assert len(everything) == sum(
        len(of_task) for record in reported.records() for of_task in record.scores.values()
    )
    assert printed > len(reported.records())


def test_names_of_a_kind_add_up_and_kinds_narrow() -> None:
    of_two = claims(["table2", "table11"])
    assert {claim.table for claim in of_two} == {"table2", "table11"}
    narrowed = claims(["table2", "table11", "xdecoder-T", "voc-20"])
    assert [(c.table, c.printed) for c in narrowed] == [("table2", 0.962), ("table11", 0.962)]
    assert all(claim in of_two for claim in narrowed)
    whole = claims(["table14", "seginw", "xdecoder-L"])
    assert len(whole) == 6 * 26


def test_a_system_is_found_by_its_card_and_by_its_printed_name() -> None:
    by_card = claims(["table2", "xdecoder-B"])
    assert by_card == claims(["table2", "X-Decoder (B)"])
    assert len(by_card) == 16
    sam = claims(["grounding-dino-b-sam-h", "seginw-grounded-sam"])
    assert {claim.record.model.name for claim in sam} == {"Grounded-SAM (B+H)"}


def test_a_figure_has_the_claims_it_draws() -> None:
    bars = claims(["figure8"])
    assert len(bars) == 25
    assert {claim.record.key for claim in bars} <= {c.record.key for c in claims(["table13"])}


def test_a_name_of_nothing_suggests_near_ones() -> None:
    with pytest.raises(UnknownName, match="xdecoder-T"):
        claims(["xdecoder-t"])


@pytest.mark.parametrize(("text", "half"), [("18.8", 0.0005), ("48.36", 0.00005), ("0.6", 0.0005)])
def test_half_of_the_last_printed_digit_is_what_rounding_may_move(text: str, half: float) -> None:
    found = next(claim for claim in claims() if claim.cell.text.partition("±")[0] == text)
    assert found.half_digit == pytest.approx(half)


# --- what became of them -------------------------------------------------------------------------


def test_a_printed_number_inside_the_interval_is_reproduced(tmp_path: Path) -> None:
    found = verdict(tmp_path, measured(0.19, interval=(0.185, 0.195)))
    assert found.status is Status.REPRODUCED
    assert found.off_by == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("interval", "status"),
    [
        ((0.1879, 0.195), Status.REPRODUCED),
        ((0.1884, 0.195), Status.REPRODUCED),  # 18.84 is printed as 18.8
        ((0.1886, 0.195), Status.OFF),
        ((0.180, 0.1876), Status.REPRODUCED),
        ((0.180, 0.1874), Status.OFF),
    ],
)
def test_rounding_of_the_printed_number_is_given_to_it(
    tmp_path: Path, interval: tuple[float, float], status: Status
) -> None:
    assert verdict(tmp_path, measured(0.19, interval=interval)).status is status


(VOC,) = claims(["table2", "xdecoder-T", "voc-20"])


@given(st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.2))
def test_reproduced_never_without_the_interval_holding_the_number(
    value: float, below: float, above: float
) -> None:
    from bench.claims import _status
    from bench.measured import Measurement

    claim = VOC
    low, high = value - below, value + above
    status = _status(claim, Measurement(value, (low, high), "bench", ("a",)))
    inside = low - claim.half_digit <= claim.printed <= high + claim.half_digit
    assert status is (Status.REPRODUCED if inside else Status.OFF)
    assert _status(claim, Measurement(claim.printed, None, "bench", ("a",))) is Status.UNDECIDED


def test_without_an_interval_nothing_is_reproduced(tmp_path: Path) -> None:
    found = verdict(tmp_path, measured(0.188, interval=None))
    assert found.status is Status.UNDECIDED
    assert found.off_by == pytest.approx(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": 10},
        {"model": "xdecoder-T (weights: random)"},
        {"model": "xdecoder-T-last"},
        {"split": "train"},
        {"dataset": "ade20k-847"},
        {"of": ("instance", "AP")},
        {"vocabulary": {"names": ["x"], "digest": "d", "name": "ade20k-150-openseg"}},
        tuned("5", "prompt"),
    ],
    ids=str,
)
def test_runs_of_anything_else_do_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = verdict(tmp_path, measured(0.188, **changes))
    assert found.status is Status.NOT_ATTEMPTED
    assert found.measured is None


def test_the_datasets_own_words_by_name_are_its_own(tmp_path: Path) -> None:
    own = {"names": ["x"], "digest": "d", "name": "ade20k-150"}
    assert verdict(tmp_path, measured(0.188, vocabulary=own)).status is Status.REPRODUCED


def test_runs_under_the_claims_card_count_before_others(tmp_path: Path) -> None:
    nearest, other = measured(0.188), measured(0.3, protocol="bench")
    found = verdict(tmp_path, nearest, other)
    assert found.measured
    assert (found.measured.protocol, found.status) == ("xdecoder-2022", Status.REPRODUCED)
    only = verdict(tmp_path / "only", other)
    assert only.measured
    assert (only.measured.protocol, only.status) == ("bench", Status.OFF)


def test_the_last_of_two_runs_counts(tmp_path: Path) -> None:
    found = verdict(tmp_path, measured(0.1), measured(0.188))
    assert found.measured
    assert found.measured.value == 0.188
    assert len(found.measured.runs) == 1


def test_another_models_runs_can_be_held_against_claims(tmp_path: Path) -> None:
    mine = measured(0.188, model="runs/mine")
    assert verdict(tmp_path, mine).status is Status.NOT_ATTEMPTED
    of_mine = verdict(tmp_path, mine, model="runs/mine", score="AP").needs
    assert of_mine.command == "bench run ade20k-150 --model runs/mine --protocol xdecoder-2022"
    assert of_mine.weights == ""
    assert verdict(tmp_path, mine, model="runs/mine").status is Status.REPRODUCED
    finetuned = measured(0.416, model="runs/mine", protocol="bench")
    (found,) = (
        one
        for one in verdicts(
            tmp_path / "b", finetuned, of="table1 xdecoder-T ade20k-150", model="runs/mine"
        )
        if one.claim.cell.score == "PQ"
    )
    assert found.status is Status.REPRODUCED


def test_a_finetuned_claim_is_not_met_by_the_model_before_finetuning(tmp_path: Path) -> None:
    before = measured(0.416)
    found = verdicts(tmp_path, before, of="table1 xdecoder-T ade20k-150")
    assert {one.status for one in found} == {Status.NOT_ATTEMPTED}


def test_a_released_finetuned_checkpoint_meets_its_claim(tmp_path: Path) -> None:
    run = measured(0.578, model="mask2former-swin-l-coco", dataset="coco", protocol="native")
    found = verdicts(tmp_path, run, of="table1 mask2former-swin-l-coco coco")
    assert [one.status for one in found] == [
        Status.REPRODUCED,
        Status.NOT_ATTEMPTED,
        Status.NOT_ATTEMPTED,
    ]


# --- few shots and suites ------------------------------------------------------------------------


def phones(value: float, seed: int, **changes: Any) -> Record:
    """A five-shot run, for which Table 14 prints 43.7±5.4."""
    return measured(
        value,
        dataset="seginw-Phones",
        of=("instance", "AP"),
        **tuned("5", "prompt", seed),
        **changes,
    )


def test_draws_are_averaged_and_their_scatter_is_the_interval(tmp_path: Path) -> None:
    runs = [phones(value, seed) for seed, value in enumerate((0.40, 0.44, 0.48))]
    found = verdicts(tmp_path, *runs, of="table14 xdecoder-T seginw-Phones")
    (one,) = (v for v in found if v.measured)
    assert one.claim.cell.text == "43.7±5.4"
    assert one.measured
    assert one.measured.value == pytest.approx(0.44)
    assert one.measured.bounds == pytest.approx(student([0.40, 0.44, 0.48]))
    assert len(one.measured.runs) == 3
    assert one.status is Status.REPRODUCED


def test_a_run_again_with_the_same_seeds_replaces_the_former(tmp_path: Path) -> None:
    runs = [phones(0.1, 0), phones(0.40, 0), phones(0.44, 1)]
    found = verdicts(tmp_path, *runs, of="table14 xdecoder-T seginw-Phones")
    (one,) = (v for v in found if v.measured)
    assert one.measured
    assert one.measured.value == pytest.approx(0.42)


def test_a_single_draw_has_the_interval_of_its_images(tmp_path: Path) -> None:
    found = verdicts(tmp_path, phones(0.4, 0), of="table14 xdecoder-T seginw-Phones")
    (one,) = (v for v in found if v.measured)
    assert one.measured
    assert one.measured.bounds == pytest.approx((0.39, 0.41))


def suite_runs(value: float = 0.3, leave_out: int = 0) -> list[Record]:
    members = catalog.suite("seginw").members[leave_out:]
    return [measured(value, dataset=m.dataset, of=("instance", "AP")) for m in members]


def test_a_suites_mean_needs_all_of_its_members(tmp_path: Path) -> None:
    whole = verdicts(tmp_path, *suite_runs(0.227), of="table13 xdecoder-T")
    (mean,) = (v for v in whole if v.claim.record.dataset.name == "seginw" and v.measured)
    assert mean.claim.cell.text == "22.7"
    assert mean.measured
    assert mean.measured.value == pytest.approx(0.227)
    assert mean.measured.bounds == pytest.approx((0.225, 0.229))  # 0.01 of each, by root of 25
    assert mean.status is Status.REPRODUCED
    part = verdicts(tmp_path / "part", *suite_runs(0.227, leave_out=1), of="table13 xdecoder-T")
    assert not [v for v in part if v.claim.record.dataset.name == "seginw" and v.measured]


def test_a_suite_measured_under_several_cards_has_no_mean(tmp_path: Path) -> None:
    first, *others = suite_runs(0.227)
    other = measured(
        0.227, dataset=first.dataset.name, of=("instance", "AP"), protocol="bench", key="other"
    )
    found = verdicts(tmp_path, other, *others, of="table13 xdecoder-T")
    assert not [v for v in found if v.claim.record.dataset.name == "seginw" and v.measured]


def test_a_median_has_no_interval_and_so_is_not_reproduced(tmp_path: Path) -> None:
    found = verdicts(tmp_path, *suite_runs(0.152), of="seginw-means xdecoder-T")
    by_score = {v.claim.cell.score: v for v in found}
    assert by_score["AP"].status is Status.OFF
    median = by_score["median AP"]
    assert median.status is Status.UNDECIDED
    assert median.off_by == pytest.approx(0)


def test_students_interval_holds_the_mean_and_widens_with_scatter() -> None:
    low, high = student([0.4, 0.5])
    assert low < 0.45 < high
    assert high - low > 1  # two draws say next to nothing
    narrow = student([0.44, 0.45, 0.46, 0.45, 0.45])
    assert narrow[1] - narrow[0] < 0.02


# --- what they need ------------------------------------------------------------------------------


def test_what_is_missing_is_said_and_how_to_measure(tmp_path: Path) -> None:
    needs = verdict(tmp_path).needs
    assert needs.weights == "bench models fetch xdecoder-T"
    assert needs.data == "data of ade20k-150"
    assert needs.command == "bench run ade20k-150 --model xdecoder-T --protocol xdecoder-2022"
    (tmp_path / "data" / "ADEChallengeData2016").mkdir(parents=True)
    assert verdict(tmp_path).needs.missing == "bench models fetch xdecoder-T"


def test_fetched_weights_are_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "xdecoder-T.safetensors").touch()
    assert verdict(tmp_path).needs.weights == ""


def test_few_shots_are_measured_with_draws(tmp_path: Path) -> None:
    found = verdicts(tmp_path, of="table14 xdecoder-T seginw-Phones")
    commands = [one.needs.command for one in found]
    assert commands[0] == "bench run seginw-Phones --model xdecoder-T --protocol xdecoder-2022"
    assert "--shots 5 --tune prompt --seeds 3" in str(commands[3])


def test_weights_that_nobody_released_are_told_from_runs_nobody_made(tmp_path: Path) -> None:
    found = verdicts(tmp_path, of="table2 table6 table10")
    statuses = {
        one.claim.record.model.name: one.status for one in found if one.claim.table != "table10"
    }
    assert statuses["xdecoder-T"] is Status.NOT_ATTEMPTED
    assert statuses["xdecoder-L"] is Status.NOT_RELEASED
    assert statuses["X-Decoder-Seg (B)"] is Status.NOT_RELEASED
    assert statuses["X-Decoder (T), ablation: without retrieval"] is Status.NOT_RELEASED
    assert statuses["MaskCLIP (L)"] is Status.NOT_ATTEMPTED
    needs = {one.claim.record.model.name: one.needs for one in found}
    ablation = needs["X-Decoder (T), ablation: without retrieval"]
    assert "bench train pretrain-T-no-retrieval" in ablation.weights
    assert ablation.command is None
    assert "no model here" in needs["MaskCLIP (L)"].weights


def test_answers_that_only_a_server_has_are_said_to_be_there(tmp_path: Path) -> None:
    found = verdicts(tmp_path, of="table1 xdecoder-T vqav2")
    assert {one.needs.data for one in found} == {
        "the answers of test-dev, which only a server has",
        "the answers of test-std, which only a server has",
    }


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in ("BENCH_DATA", "BENCH_RESULTS", "BENCH_SPECS", "BENCH_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Result:
        result = CliRunner().invoke(build_app(), list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_without_names_the_claims_are_counted_table_by_table(bench: Any) -> None:
    out = bench("claims", "--format", "csv").stdout
    assert 'table2,"Table 2, open-vocabulary segmentation",115' in out
    counted = [int(line.split(",")[-3]) for line in out.splitlines()[1:] if "table13" in line]
    assert counted == [780]


def test_claims_are_listed_with_what_was_measured(bench: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "bench-results")
    store.append(measured(0.19, interval=(0.185, 0.195)))
    out = bench("claims", "table2", "xdecoder-T", "ade20k-150", "--format", "markdown")
    (line,) = (line for line in out.stdout.splitlines() if "| PQ |" in line)
    assert "| 18.8 | 19.0 [18.5, 19.5] | reproduced |" in line
    assert "1 reproduced" in out.stderr
    off = bench("claims", "table10", "xdecoder-T", "ade20k-150", "--status", "off")
    assert off.exit_code == 0
    store.append(measured(0.25, interval=(0.24, 0.26)))
    again = bench("claims", "table2", "xdecoder-T", "ade20k-150", "--format", "markdown")
    assert "off by +6.2" in again.stdout


def test_json_has_all_that_is_known_of_a_claim(bench: Any, tmp_path: Path) -> None:
    Store(tmp_path / "bench-results").append(measured(0.19))
    found = json.loads(bench("claims", "table2", "xdecoder-T", "ade20k-150", "--json").stdout)
    one = next(claim for claim in found if claim["score"] == "PQ")
    assert one["reported"] == 0.188
    assert one["measured"] == 0.19
    assert one["interval"] == [0.18, 0.2]
    assert one["status"] == "reproduced"
    assert one["needs"]["command"].startswith("bench run ade20k-150")
    assert one["runs"]


def test_unknown_names_are_a_sentence(bench: Any) -> None:
    for words, said in (
        (("table22",), "Unknown"),
        (("table2", "--status", "offf"), "Did you mean 'off'?"),
        (("table2", "--model", "nobody"), "no whole run of 'nobody'"),
    ):
        result = bench("claims", *words)
        assert result.exit_code == 2
        assert said in result.stderr


def test_the_page_about_claims_counts_them_and_its_example_runs() -> None:
    page = (Path(__file__).parent.parent / "docs" / "claims.md").read_text()
    assert f"{len(reported.names())} tables and figures, {len(claims())} numbers" in page
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    for line in code.splitlines():
        expression, _, said = line.partition("   # ")
        if said.startswith(("(", '"')):
            assert eval(f"({expression})", names) == eval(said), line


@pytest.mark.slow
def test_a_real_run_is_measured_with_the_interval_of_its_images(bench: Any, tmp_path: Path) -> None:
    assert bench("run", "shapes-in-the-wild-orchard", "--model", "colour").exit_code == 0
    found = Measurements(Store(tmp_path / "bench-results"))
    number = found.of("colour", "shapes-in-the-wild-orchard", "val", "instance", "AP")
    assert number
    assert number.bounds
    assert number.bounds[0] <= number.value <= number.bounds[1]
    assert number.protocol == "bench"
