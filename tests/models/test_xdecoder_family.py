"""From a card, a checkpoint or a seed to a model; and what a protocol card does to it."""

import os
import pickle
import shutil
import subprocess
import sys
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from bench import catalog
from bench.cli import build_app
from bench.errors import CannotDo, DataError, UsageError, WeightsMissing
from bench.evaluation import examine, following
from bench.identity import model_used, weights_digest
from bench.protocol import CaptionRule, CaptionSearch, FreedRow, Protocol
from bench.tasks import task
from bench.types import Vocabulary
from bench.workplace import load_dataset
from models.xdecoder import checkpoint
from models.xdecoder.answers import XDecoder
from models.xdecoder.caption import Beam, Greedy
from models.xdecoder.cards import CARDS, variant_of
from models.xdecoder.config import VARIANTS
from models.xdecoder.convert import official_state_dict
from models.xdecoder.family import build, card_of
from models.xdecoder.names import names, to_official

NANO = CARDS["xdecoder-nano"]
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
WORDS = Vocabulary(("star", "sky"), things=frozenset({0}))


@pytest.fixture(scope="module")
def model():
    return build(NANO, seed=0)


def class_logits(model):
    (proposals,) = model.propose([IMAGE], WORDS)
    return proposals.class_logits


# --- cards ---------------------------------------------------------------------------------------


def test_every_variant_has_a_card_and_every_card_a_variant():
    assert {variant_of(card) for card in CARDS.values()} == set(VARIANTS)
    assert all(name == card.name and card.title for name, card in CARDS.items())


def test_a_longer_name_is_not_mistaken_for_a_shorter_variant():
    assert variant_of(CARDS["xdecoder-L-IN21K"]) == "xdecoder-L-IN21K"
    assert variant_of(CARDS["xdecoder-T-novg"]) == "xdecoder-T"


def test_reported_numbers_are_fractions():
    numbers = [reported for card in CARDS.values() for reported in card.reported]
    assert len(numbers) > 30
    assert all(0 < reported.value < 1 and reported.source for reported in numbers)


@pytest.mark.parametrize("name", [n for n, card in CARDS.items() if card.weights is None])
def test_a_model_that_was_never_released_says_so(name):
    with pytest.raises(WeightsMissing, match=f"No weights of {name} were released.*--weights"):
        build(CARDS[name])


def test_a_released_model_says_which_file_it_needs_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    said = r"needs xdecoder_focalt_best_openseg\.pt .*`bench models fetch xdecoder-T`"
    with pytest.raises(WeightsMissing, match=said) as missing:
        catalog.model("xdecoder-T").build()
    assert missing.value.exit_code == 3


# --- random weights ------------------------------------------------------------------------------


def test_random_weights_are_those_of_their_seed_and_are_told_loudly(model):
    assert weights_digest(build(NANO, seed=0)) == weights_digest(model)
    assert weights_digest(build(NANO, seed=1)) != weights_digest(model)
    assert "random weights" in model_used("nano", model).notes[0]


def test_drawing_weights_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(NANO, seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_weights_and_a_seed_are_not_given_together(tmp_path):
    with pytest.raises(UsageError, match="not both"):
        build(NANO, weights=tmp_path, seed=0)


# --- checkpoints in every form -------------------------------------------------------------------


def as_folder(model, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def as_our_file(model, folder: Path) -> Path:
    checkpoint.save(model, folder / "mine.safetensors")
    return folder / "mine.safetensors"


def as_file_beside_its_config(model, folder: Path) -> Path:
    return as_folder(model, folder) / "model.safetensors"


@pytest.mark.parametrize("form", [as_folder, as_our_file, as_file_beside_its_config])
def test_a_saved_model_is_a_model_by_its_path(form, model, tmp_path):
    ref = catalog.model(str(form(model, tmp_path)))
    loaded = ref.build()
    assert ref.card is not None
    assert ref.card.name == "xdecoder-nano"
    assert weights_digest(loaded) == weights_digest(model)
    assert loaded.notes == ()
    torch.testing.assert_close(class_logits(loaded), class_logits(model))


def test_a_packed_checkpoint_is_one_file_of_half_the_size_and_the_same_model(model, tmp_path):
    folder, packed = as_folder(model, tmp_path / "run"), tmp_path / "packed.safetensors"
    command = ["models", "pack", str(folder), str(packed), "--half"]
    assert CliRunner().invoke(build_app(), command).exit_code == 0
    assert packed.stat().st_size < 0.55 * (folder / "model.safetensors").stat().st_size
    ref = catalog.model(str(packed))
    assert ref.card is not None
    assert ref.card.name == "xdecoder-nano"
    loaded = ref.build()
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(class_logits(loaded), class_logits(model), rtol=0.05, atol=0.05)
    again = CliRunner().invoke(build_app(), command)
    assert again.exit_code == 2
    assert "--force" in again.output


def test_a_file_that_cannot_be_packed_to_is_one_sentence(model, tmp_path):
    folder = as_folder(model, tmp_path / "run")
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "packed.safetensors"
    result = CliRunner().invoke(build_app(), ["models", "pack", str(folder), str(target)])
    assert result.exit_code == 3, result.output
    assert "Cannot write" in result.stderr


def test_weights_too_large_for_half_precision_are_refused(model, tmp_path):
    large = deepcopy(model)
    with torch.no_grad():
        next(large.parameters()).view(-1)[0] = 1e6
    with pytest.raises(DataError, match="too large"):
        checkpoint.save(large, tmp_path / "large.safetensors", torch.float16)
    assert not (tmp_path / "large.safetensors").exists()


def official(model, folder: Path) -> Path:
    torch.save(official_state_dict(model), folder / "official.pt")
    return folder / "official.pt"


def snapshot(model, folder: Path) -> Path:
    weights = {f"module.{name}": tensor for name, tensor in official_state_dict(model).items()}
    torch.save({"module": weights}, folder / "snapshot.pt")
    return folder / "snapshot.pt"


def official_safetensors(model, folder: Path) -> Path:
    save_file(official_state_dict(model), folder / "official.safetensors")
    return folder / "official.safetensors"


def ours_without_header(model, folder: Path) -> Path:
    save_file(model.state_dict(), folder / "bare.safetensors")
    return folder / "bare.safetensors"


@pytest.mark.parametrize("form", [official, snapshot, official_safetensors, ours_without_header])
def test_weights_in_any_form_fill_a_model_by_name(form, model, tmp_path):
    loaded = build(NANO, weights=form(model, tmp_path))
    assert weights_digest(loaded) == weights_digest(model)


@pytest.mark.parametrize(
    ("variant", "queries"), [("xdecoder-T", 201), ("xdecoder-L", 101), ("xdecoder-L-IN21K", 201)]
)
def test_an_official_file_is_known_by_its_shapes(variant, queries, tmp_path):
    config = VARIANTS[variant].with_queries(queries)
    with torch.device("meta"):
        shapes = XDecoder(config).state_dict()
    table = names(config)
    empty = {to_official(n, table): torch.zeros(()).expand(t.shape) for n, t in shapes.items()}
    torch.save(empty, tmp_path / "x.pt")
    card = card_of(tmp_path / "x.pt")
    assert card is not None
    assert card.name == variant
    assert checkpoint.config_of(tmp_path / "x.pt") == config


def test_a_checkpoint_of_another_variant_is_refused(model, tmp_path):
    path = as_folder(model, tmp_path / "nano")
    bare = ours_without_header(model, tmp_path)
    with pytest.raises(DataError, match="another variant"):
        build(CARDS["xdecoder-T"], weights=bare)
    assert build(CARDS["xdecoder-T"], weights=path).config.name == "xdecoder-nano"  # it says so


class Code:
    def __reduce__(self):
        return os.system, ("exit 1",)


def test_a_pickle_that_would_run_code_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"model": Code()}, protocol=2))
    with pytest.raises(DataError, match=r"would run the file's code.*unsupported GLOBAL"):
        catalog.model(str(path))


def test_a_bare_file_must_be_given_to_a_name(model, tmp_path):
    path = ours_without_header(model, tmp_path)
    assert card_of(path) is None
    with pytest.raises(DataError, match="does not say which X-Decoder it is"):
        checkpoint.load(path)


def test_another_models_folder_and_other_files_are_none_of_ours(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "notes.txt").write_text("PKG")
    assert card_of(tmp_path) is None
    assert card_of(tmp_path / "notes.txt") is None


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(DataError, match=r"x\.safetensors is damaged"):
        card_of(tmp_path / "x.safetensors")
    (tmp_path / "config.json").write_text('{"backbone": {"kind": "what"}, "decoder": {}}')
    with pytest.raises(DataError, match=r"config\.json does not describe"):
        card_of(tmp_path)


def test_fetched_weights_are_found_by_the_models_name(model, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    checkpoint.save(model, tmp_path / "xdecoder-T.safetensors")
    assert weights_digest(catalog.model("xdecoder-T").build()) == weights_digest(model)


def test_a_checkpoint_takes_no_other_weights(model, tmp_path):
    path = as_our_file(model, tmp_path)
    with pytest.raises(UsageError, match="has weights: leave out --weights"):
        catalog.model(str(path)).build(seed=0)


# --- how it works --------------------------------------------------------------------------------


def test_a_protocol_card_decides_which_query_is_freed(model):
    assert model.under(Protocol(name="as released")) is model
    before = class_logits(model)
    freed = model.under(Protocol(name="as meant", freed_row=FreedRow.IMAGE))
    assert not torch.allclose(class_logits(freed)[-1], before[-1])  # the image query
    torch.testing.assert_close(class_logits(freed)[:-1], before[:-1])  # nobody sees it
    torch.testing.assert_close(class_logits(model), before)
    assert weights_digest(freed) == weights_digest(model)


def test_a_protocol_card_decides_how_captions_are_written(model):
    rule = CaptionRule(search=CaptionSearch.BEAM, beams=3, steps=7, length_exponent=0.5)
    asked = model.under(Protocol(name="beams", captions=rule))
    assert asked.habits.writing == Beam(3, 7, 0.5)
    assert model.habits.writing == Greedy()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    by_hand = copy(model)
    by_hand.habits = replace(model.habits, writing=Beam(3, 7, 0.5))
    assert asked.caption([image]) == by_hand.caption([image])
    assert asked.under(Protocol(name="as it is")) is asked
    greedy = Protocol(name="greedy", captions=CaptionRule(search=CaptionSearch.GREEDY))
    assert asked.under(greedy).habits.writing == Greedy()


def test_the_finetuned_card_shows_images_at_the_sizes_of_finetuning():
    card = catalog.protocol("xdecoder-finetuned")
    sizes = {"coco-retrieval": 384, "coco-caption": 480, "vqav2": 640}
    for dataset, size in sizes.items():
        assert card.for_dataset(dataset).resize.exact == (size, size)
    assert card.for_dataset("coco-caption").captions.search is CaptionSearch.BEAM
    assert card.for_dataset("coco-retrieval").captions == CaptionRule()


def test_the_runner_asks_a_model_as_the_card_wants_it(model):
    dataset = load_dataset("shapes", tasks=["semantic"])
    card = Protocol(name="as meant", freed_row=FreedRow.IMAGE)
    asked = examine(model, dataset, card).model
    assert asked.config.decoder.freed_row.value == "image"
    assert model.config.decoder.freed_row.value == "one-past-image"
    assert following("no model that follows", card) == "no model that follows"


def test_a_model_without_an_answer_head_is_not_asked_questions(model):
    with pytest.raises(CannotDo, match="no answer head"):
        task("vqa").question_for(model)
    able = XDecoder(replace(VARIANTS["xdecoder-nano"], answers=("yes", "no")))
    assert task("vqa").question_for(able) is task("vqa").questions[0]


def test_bfloat16_is_near_float32_and_leaves_as_float32(model):
    half = build(NANO, seed=0, precision="bfloat16")
    (ours,), (theirs,) = (m.propose([IMAGE], WORDS) for m in (half, model))
    assert ours.mask_logits.dtype == ours.class_logits.dtype == torch.float32
    assert next(half.parameters()).dtype == torch.bfloat16
    torch.testing.assert_close(ours.class_logits, theirs.class_logits, rtol=0.1, atol=0.5)


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match="float32 or bfloat16, not in 'float8'"):
        build(NANO, seed=0, precision="float8")


def test_class_embeddings_are_kept_between_builds(tmp_path, monkeypatch):
    first = build(NANO, seed=0, cache=tmp_path).class_embeddings(WORDS)
    (file,) = tmp_path.iterdir()
    again = build(NANO, seed=0, cache=tmp_path)
    monkeypatch.setattr(again.text, "sentences", None)  # not asked again
    assert torch.equal(again.class_embeddings(WORDS), first)
    build(NANO, seed=1, cache=tmp_path).class_embeddings(WORDS)
    assert len([*tmp_path.iterdir()]) == 2
    assert file.suffix == ".safetensors"


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, model):
    (tmp_path / "file").write_text("in the way")
    barred = build(NANO, seed=0, cache=tmp_path / "file" / "texts")
    assert torch.equal(barred.class_embeddings(WORDS), model.class_embeddings(WORDS))


def test_a_digest_follows_the_weights():
    own = build(NANO, seed=0)
    before = weights_digest(own)
    assert weights_digest(own) == before
    with torch.no_grad():
        own.text.projection[0, 0] += 1
    assert weights_digest(own) != before


COMPILED = """
import numpy as np, torch
from bench.types import Vocabulary
from models.xdecoder.family import CARDS, build
image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
plain, fast = (build(CARDS["xdecoder-nano"], seed=0, compile=c) for c in (False, True))
words = Vocabulary(("star", "sky"))
(ours,), (theirs,) = (model.propose([image], words) for model in (fast, plain))
torch.testing.assert_close(ours.class_logits, theirs.class_logits, rtol=1e-4, atol=1e-4)
torch.testing.assert_close(ours.mask_logits, theirs.mask_logits, rtol=1e-4, atol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling needs a C++ compiler")
def test_a_compiled_network_answers_the_same():
    """In a process of its own: what checks shapes in tests cannot be compiled."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.slow
def test_one_pass_of_xdecoder_t_scores_three_tasks(tmp_path):
    from bench.plan import Job
    from bench.workplace import Workplace

    sample = Path(__file__).parents[3] / "shared/reference/samples/coco_panoptic"
    if not sample.is_dir():
        pytest.skip("the COCO panoptic sample is not beside the project")
    place = Workplace(results=tmp_path)
    assignment = place.assign(
        Job(model="xdecoder-T", weights="random", dataset=str(sample), limit=1), "cpu"
    )
    assert len(assignment.examination.questions) == 1
    (outcome,) = assignment.examination.outcomes()
    assert outcome.failure is None
    scores = assignment.examination.score([outcome])
    assert {"PQ", "AP", "mIoU"} <= {name for of_task in scores.values() for name in of_task}
    assert assignment.model.name == "xdecoder-T (weights: random)"
    assert "noise" in assignment.model.notes[0]
