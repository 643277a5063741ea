"""Looking at a model: what is asked, said, written and drawn."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from typer.testing import CliRunner

from bench.cli import build_app
from bench.compose import (
    describe_region,
    edit_region,
    find_region,
    retrieve_region,
)
from bench.data import shapes
from bench.errors import AnswerFailed, CannotDo, DataMissing, ExtraMissing, UnknownName, UsageError
from bench.frames import Frame, frames
from bench.metrics.rle import decompress
from bench.predict import COMPOSITIONS, TASKS, Desk, Request, predictions
from bench.presentation import PRESENTATIONS, Asked
from bench.protocol import Protocol, Resize
from bench.report.overlay import PALETTE, Colours, Region, _deepest, draw
from bench.types import Mask, Proposals, ReferredMask, Vocabulary

CARD = Protocol(name="plain", resize=Resize(), background="none", mask_resize="bilinear")
WORDS = Vocabulary(("dark", "light"), things=frozenset({0}))


def scene(height: int = 40, width: int = 60, left: int = 20) -> np.ndarray:
    """A dark part of so many columns, and the rest light."""
    image = np.full((height, width, 3), 230, np.uint8)
    image[:, :left] = 20
    return image


def frame(image: np.ndarray | None = None, name: str = "scene") -> Frame:
    return Frame(name, Path(f"{name}.png"), scene() if image is None else image)


@dataclass
class Seer:
    """Knows dark from light, and can do everything."""

    asked: int = 0

    def _dark(self, image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.where(image[..., 0] < 128, 9.0, -9.0).astype(np.float32))

    def propose(self, images, vocabulary):
        self.asked += 1
        logits = torch.full((2, vocabulary.columns), -9.0)
        logits[0, 0] = logits[1, 1] = 9.0
        return [
            Proposals(
                logits,
                torch.stack([self._dark(image), -self._dark(image)]),
                image.shape[:2],
                image.shape[:2],
            )
            for image in images
        ]

    def refer(self, images, phrases):
        return [
            [
                ReferredMask(
                    self._dark(image) * (1 if "dark" in phrase else -1),
                    0.5,
                    image.shape[:2],
                    image.shape[:2],
                )
                for phrase in asked
            ]
            for image, asked in zip(images, phrases, strict=True)
        ]

    def caption(self, images):
        return [f"{image.shape[1]} wide" for image in images]

    def caption_regions(self, images, regions):
        return [f"{region.mean():.2f} of {region.shape}" for region in regions]

    def embed_images(self, images):
        return np.array([[(i < 128).mean(), (i >= 128).mean()] for i in images], np.float32)

    def embed_texts(self, texts):
        return np.array([[float("dark" in text), float("light" in text)] for text in texts])

    def answer(self, images, questions):
        return [[question.split()[-1] for question in asked] for asked in questions]


def request(*tasks: str, **asked: object) -> Request:
    return Request(tasks, CARD, Asked(**asked), WORDS)  # type: ignore[arg-type]


def ask(what: Request, *images: Frame, model: object = None) -> dict[str, object]:
    found = predictions(model or Seer(), images or [frame()], what, name="seer")
    return {answer.task: answer for _, answer in found}


# --- answers -------------------------------------------------------------------------------------


def test_tasks_that_share_a_question_share_its_answer():
    seer = Seer()
    answers = ask(request("panoptic", "semantic", "instance"), model=seer)
    assert {*answers} == {"panoptic", "semantic", "instance"}
    assert seer.asked == 1


def test_a_panoptic_map_spells_the_ids_of_its_segments():
    answer = ask(request("panoptic"))["panoptic"]
    spelled = answer.map.astype(int) @ [1, 256, 65536]
    for segment in answer.content["segments"]:
        assert (spelled == segment["id"]).sum() == segment["area"]
    by_name = {s["name"]: s for s in answer.content["segments"]}
    assert by_name["dark"]["box"] == [0, 0, 20, 40]
    assert (by_name["dark"]["thing"], by_name["light"]["thing"]) == (True, False)


def test_a_semantic_map_holds_labels_and_their_shares_add_up():
    answer = ask(request("semantic"))["semantic"]
    assert answer.map.dtype == np.uint8
    assert [c["name"] for c in answer.content["classes"]] == ["light", "dark"]
    assert sum(c["pixels"] for c in answer.content["classes"]) == 40 * 60
    assert (answer.map[:, :20] == 0).all()


def test_a_large_vocabulary_has_a_map_of_16_bits():
    names = tuple(f"class {index}" for index in range(300))
    answer = ask(replace(request("semantic"), classes=Vocabulary(names)))["semantic"]
    assert answer.map.dtype == np.uint16
    assert answer.content["void"] == 65535


def test_instances_below_the_least_score_are_written_and_not_drawn():
    answer = ask(request("instance", min_score=2.0))["instance"]
    assert answer.regions == ()
    (first, *_) = answer.content["instances"]
    mask = decompress(first["segmentation"]["counts"], 40, 60)
    assert first["name"] == "dark"
    assert mask.decode()[:, :20].all()


def test_phrases_are_asked_as_the_card_says():
    answer = ask(request("referring", phrases=("The DARK part", "what is light")))["referring"]
    assert [row["area"] for row in answer.content["phrases"]] == [800, 1600]
    assert [region.name for region in answer.regions] == ["the dark part", "what is light"]


def test_words_are_said_as_the_model_says_them():
    what = request("caption", "vqa", questions=("is it dark", "or light"))
    answers = ask(what)
    assert answers["caption"].content == {"caption": "60 wide"}
    assert [row["answer"] for row in answers["vqa"].content["answers"]] == ["dark", "light"]


def test_a_card_may_show_images_of_a_task_in_another_size():
    rules = {"*-caption": {"resize": {"exact": [32, 32]}}}
    what = replace(request("caption"), card=CARD.model_copy(update={"datasets": rules}))
    assert ask(what)["caption"].content == {"caption": "32 wide"}
    assert ask(replace(what, like="other"))["caption"].content == {"caption": "60 wide"}


# --- compositions --------------------------------------------------------------------------------


def test_a_phrase_finds_its_region():
    mask, score = find_region(Seer(), scene(), "Dark", CARD)
    assert (mask.area, score) == (800, 0.5)


def test_a_region_is_described_at_the_size_the_captioner_sees():
    small = CARD.model_copy(update={"resize": Resize(exact=(20, 30))})
    mask, caption = describe_region(Seer(), scene(), "dark", finding=CARD, captioning=small)
    assert caption == "0.33 of (20, 30)"
    assert mask.area == 800


def test_a_region_too_small_for_the_captioner_keeps_a_pixel():
    image = scene(left=0)
    image[30, 44] = 0
    tiny = CARD.model_copy(update={"resize": Resize(exact=(8, 8))})
    _, caption = describe_region(Seer(), image, "dark", finding=CARD, captioning=tiny)
    assert caption == f"{1 / 64:.2f} of (8, 8)"


def test_a_text_finds_its_image_and_then_its_region():
    images = [scene(left=10), scene(left=50), scene(left=30)]
    found = retrieve_region(Seer(), images, "dark", ranking=CARD, finding=CARD)
    assert (found.index, found.mask.area) == (1, 50 * 40)
    assert found.scores.argsort().tolist() == [0, 2, 1]


def test_an_inpainter_gets_image_mask_and_instruction_and_only_its_copy_is_changed():
    image = scene()

    def paint(given, mask, instruction):
        assert instruction == "red"
        given[mask] = (255, 0, 0)
        return given

    mask, edited = edit_region(Seer(), image, "dark", paint, "red", CARD)
    assert (edited[mask.decode()] == (255, 0, 0)).all()
    assert (image == scene()).all()


def test_an_inpainter_that_gives_back_another_size_is_told():
    with pytest.raises(ValueError, match="gives back uint8 RGB"):
        edit_region(Seer(), scene(), "dark", lambda i, m, t: i[:3], "", CARD)


def test_retrieval_ranks_the_images_of_a_run_and_shows_the_best():
    what = request("retrieval", "region-retrieval", texts=("light", "dark"))
    images = [frame(scene(left=10), "a"), frame(scene(left=50), "b")]
    found = [*predictions(Seer(), images, what, name="seer")]
    assert [(f.name, answer.task) for f, answer in found] == [
        ("a", "retrieval-1"),
        ("b", "retrieval-2"),
        ("a", "region-retrieval-1"),
        ("b", "region-retrieval-2"),
    ]
    assert [row["image"] for row in found[1][1].content["ranking"]] == ["b", "a"]
    assert found[3][1].content["region"]["area"] == 50 * 40


def test_editing_and_region_captions_are_tasks_too():
    what = replace(
        request("edit", "region-caption", phrases=("dark",)),
        inpaint=lambda image, mask, words: 255 - image,
        instruction="invert",
    )
    answers = ask(what)
    assert (answers["edit"].image == 255 - scene()).all()
    assert answers["region-caption"].content["regions"][0]["caption"] == "0.33 of (40, 60)"


# --- what is refused -----------------------------------------------------------------------------


class Mute:
    """Can do nothing."""


@pytest.mark.parametrize("task", TASKS)
def test_what_a_model_cannot_do_is_told_before_an_image_is_read(task):
    def unread():
        raise AssertionError("an image was read")
        yield

    what = replace(
        request(task, phrases=("a",), texts=("b",), questions=("c",)), inpaint=lambda *_: None
    )
    with pytest.raises(CannotDo, match=f"'{task}' needs a model that is a"):
        predictions(Mute(), unread(), what, name="mute")


@pytest.mark.parametrize(
    ("task", "option"),
    [
        ("panoptic", "--classes"),
        ("referring", "--phrase"),
        ("vqa", "--question"),
        ("retrieval", "--text"),
        ("region-retrieval", "--text"),
        ("region-caption", "--phrase"),
        ("edit", "--inpaint"),
    ],
)
def test_a_task_without_its_words_says_which_option_gives_them(task, option):
    with pytest.raises(UsageError, match=option):
        predictions(Seer(), [], replace(request(task), classes=None), name="seer")


def test_an_unknown_task_suggests_a_near_one():
    with pytest.raises(UnknownName, match="panoptic"):
        predictions(Seer(), [], request("panoptik"), name="seer")


def test_a_model_that_fails_is_told_with_the_image():
    class Failing(Seer):
        def caption(self, images):
            raise RuntimeError("no memory left")

    with pytest.raises(AnswerFailed, match=r"'seer' failed on scene: RuntimeError: no memory left"):
        ask(request("caption"), model=Failing())


def test_every_task_of_the_suite_can_be_looked_at():
    from bench.tasks import TASKS as SCORED

    assert {*SCORED} - {"cityscapes-instance"} <= {*PRESENTATIONS, *COMPOSITIONS}


# --- images --------------------------------------------------------------------------------------


def test_a_folder_gives_its_images_in_the_order_people_count(tmp_path):
    for name in ("f10.png", "f2.png", "f1.png", "notes.txt"):
        Pillow.new("RGB", (3, 2)).save(tmp_path / name, format="PNG")
    assert [f.name for f in frames([tmp_path])] == ["f1", "f2", "f10"]


def test_files_of_one_stem_keep_their_suffixes(tmp_path):
    Pillow.new("RGB", (3, 2)).save(tmp_path / "a.png")
    Pillow.new("RGB", (3, 2)).save(tmp_path / "a.jpg")
    (tmp_path / "sub").mkdir()
    Pillow.new("RGB", (3, 2)).save(tmp_path / "sub" / "a.jpg")
    names = [f.name for f in frames([tmp_path, tmp_path / "sub"])]
    assert names == ["a-jpg", "a-png", "a-jpg-2"]


def test_a_moving_picture_gives_every_frame(tmp_path):
    shades = [Pillow.new("RGB", (4, 4), (value, 0, 0)) for value in (0, 120, 250)]
    shades[0].save(tmp_path / "m.gif", save_all=True, append_images=shades[1:])
    found = [*frames([tmp_path / "m.gif"])]
    assert [f.name for f in found] == ["m-00000", "m-00001", "m-00002"]
    assert [f.index for f in found] == [0, 1, 2]
    assert found[0].image[0, 0, 0] < found[1].image[0, 0, 0] < found[2].image[0, 0, 0]


def test_a_video_says_what_it_needs(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "imageio.v3", None)
    (tmp_path / "v.mp4").write_bytes(b"x")
    with pytest.raises(ExtraMissing, match=r"imageio.*ffmpeg -i v\.mp4"):
        next(frames([tmp_path / "v.mp4"]))


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataMissing, match=r"no image at .*gone\.png"):
        next(frames([tmp_path / "gone.png"]))
    with pytest.raises(DataMissing, match="has no image"):
        next(frames([tmp_path]))


# --- pictures ------------------------------------------------------------------------------------


def region(rows: slice, columns: slice, name: str, key: object = None) -> Region:
    mask = np.zeros((200, 300), bool)
    mask[rows, columns] = True
    return Region(Mask.encode(mask), name, key or name)


def test_regions_are_tinted_and_the_rest_is_left_as_it_was():
    image = np.full((200, 300, 3), 200, np.uint8)
    colours = Colours()
    sheet = draw(image, [region(slice(0, 100), slice(0, 100), "x")], colours=colours)
    pixels = np.asarray(sheet)
    factor = 3  # 300 pixels are fewer than 720
    assert (pixels[450, 600] == 200).all()
    tinted = pixels[20 * factor, 80 * factor]
    expected = (np.array(colours.of("x")) + 200) / 2
    assert np.abs(tinted - expected).max() <= 1


def test_a_name_stands_in_the_middle_of_its_region():
    wide = region(slice(50, 150), slice(0, 300), "wide")
    assert _deepest(wide.mask) == pytest.approx((149, 99), abs=2)
    corner = np.ones((200, 300), bool)
    corner[40:, 40:] = False  # its centre of mass is outside
    x, y = _deepest(Mask.encode(corner))
    assert corner[int(y), int(x)]


def test_a_class_keeps_its_colour_from_picture_to_picture():
    colours = Colours()
    first = colours.of("cat")
    colours.of("dog")
    assert colours.of("cat") == first == PALETTE[0]


def test_many_classes_have_different_colours():
    colours = Colours()
    assert len({colours.of(index) for index in range(60)}) == 60


def test_the_palette_can_be_told_apart_with_any_colour_vision():
    """Simulated dichromacy (Viénot et al. 1999): the first eight stay well apart."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.1194], [3.4557, 27.1554, 3.8671], [0.03, 0.1843, 1.467]]
    )
    protan = np.array([[0, 2.0234, -2.5258], [0, 1, 0], [0, 0, 1]])
    deutan = np.array([[1, 0, 0], [0.4942, 0, 1.2483], [0, 0, 1]])
    linear = (np.array(PALETTE[:8]) / 255) ** 2.2
    for loss in (np.eye(3), protan, deutan):
        seen = linear @ (np.linalg.inv(to_lms) @ loss @ to_lms).T
        seen = np.clip(seen, 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert apart[~np.eye(8, dtype=bool)].min() > 0.09


def test_warnings_and_legend_make_room_for_themselves():
    image = np.zeros((200, 300, 3), np.uint8)
    bare = draw(image, colours=Colours())
    full = draw(
        image,
        [region(slice(0, 50), slice(0, 50), f"class {index}") for index in range(40)],
        colours=Colours(),
        title="title",
        lines=["word " * 80],
        warnings=["random weights"],
    )
    assert bare.size == (900, 600)
    assert full.width > bare.width
    assert full.height > bare.height
    reds = np.asarray(full)[:40].astype(int)
    assert ((reds[..., 0] - reds[..., 1]) > 100).any()


def test_an_empty_region_and_letters_of_other_scripts_are_drawn_without_complaint():
    empty = Region(Mask.encode(np.zeros((200, 300), bool)), "nichts", 1)
    named = region(slice(0, 150), slice(0, 250), "Straße — дерево")
    assert draw(np.zeros((200, 300, 3), np.uint8), [empty, named], colours=Colours()).width > 900


# --- files and the command -----------------------------------------------------------------------


def test_an_answer_is_written_with_what_it_rests_on(tmp_path):
    desk = Desk(tmp_path / "out", {"model": "seer", "notes": []}, ["random weights"])
    answer = ask(request("panoptic"))["panoptic"]
    files = desk.write(frame(), answer)
    assert [f.name for f in files] == [
        "scene-panoptic.json",
        "scene-panoptic-map.png",
        "scene-panoptic.png",
    ]
    content = json.loads(files[0].read_text("utf-8"))
    assert (content["model"], content["height"], content["map"]) == ("seer", 40, files[1].name)
    assert np.asarray(Pillow.open(files[1])).shape == (40, 60, 3)


def run(*words: object):
    return CliRunner().invoke(build_app(), ["predict", *map(str, words)])


@pytest.fixture
def picture(tmp_path):
    image = np.full((48, 64, 3), (40, 160, 60), np.uint8)
    image[10:30, 20:40] = (200, 30, 30)
    Pillow.fromarray(image).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_any_model_can_be_looked_at(picture, tmp_path):
    words = ["--classes", "red thing", "--stuff", "green grass", "--out", tmp_path / "o"]
    result = run(picture, "--model", "colour", "--task", "panoptic", "--json", *words)
    assert result.exit_code == 0, result.output
    (said,) = json.loads(result.stdout)
    assert {segment["name"] for segment in said["segments"]} == {"red thing", "green grass"}
    assert {p.name for p in (tmp_path / "o").iterdir()} == {
        "red-panoptic.json",
        "red-panoptic-map.png",
        "red-panoptic.png",
    }


def test_every_task_of_an_untrained_model_says_that_it_is_untrained(picture, tmp_path):
    tasks = [word for task in TASKS if task not in ("vqa", "edit") for word in ("--task", task)]
    words = [
        "--phrase",
        "red star",
        "--text",
        "a star",
        "--like",
        "shapes",
        "--out",
        tmp_path / "o",
    ]
    result = run(
        picture,
        "--model",
        "xdecoder-nano",
        "--weights",
        "random:3",
        "--no-pictures",
        *tasks,
        *words,
    )
    assert result.exit_code == 0, result.output
    assert "random weights (seed 3)" in result.stderr
    written = [*(tmp_path / "o").glob("*.json")]
    assert len(written) == len(TASKS) - 2
    for path in written:
        assert "noise" in json.loads(path.read_text("utf-8"))["notes"][0]


def test_a_model_is_asked_as_its_card_says_where_nobody_says_how(tmp_path):
    found = shapes.scene(shapes.STANDARD, shapes.Split.VAL, 4)
    Pillow.fromarray(shapes.draw(found).image).save(tmp_path / "scene.png")
    asked = [tmp_path / "scene.png", "--model", "xdecoder-nano", "--no-pictures", "--json"]
    named = ["--classes", "heart,square,triangle", "--stuff", "wood"]
    for words in ([], ["--like", "shapes"], named):
        result = run(*asked, *words, "--out", tmp_path / "o")
        assert result.exit_code == 0, result.output
        (said,) = json.loads(result.stdout)
        names = {segment["name"] for segment in said["segments"]}
        assert names >= {thing.shape for thing in found.things}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "colour"], 2, "which images"),
        (["x.png"], 2, "--model NAME"),
        (["--model", "colour", "x.png", "--classes", "red"], 3, "no image at x.png"),
        (["x.png", "--model", "colour", "--weights", "random"], 2, "no weights to draw"),
        (["x.png", "--model", "colour", "--task", "caption"], 2, "Captioner"),
        (["x.png", "--model", "xdecoder-B", "--classes", "a"], 3, "were released"),
        (["x.png", "--model", "colour", "--inpaint", "no"], 2, "module:attribute"),
        (["x.png", "--model", "colour", "--classes", "a", "--vocabulary", "b"], 2, "not both"),
        (["x.png", "--model", "colour", "--classes", " ,"], 2, "names no class"),
        (["x.png", "--model", "xdecoder-nano", "--device", "nope"], 2, "no device 'nope' here"),
        (["--model", "xdecoder-nano", "--device", "cuda:99", "x.png"], 2, "no device 'cuda:99'"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(words, code, said):
    result = run(*words)
    assert result.exit_code == code
    assert said in result.stderr


def test_an_unreadable_image_is_left_out_and_told_at_the_end(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        Pillow.fromarray(scene()).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    words = [tmp_path / "in", "--model", "colour", "--classes", "red", "--out", tmp_path / "out"]
    result = run(*map(str, words))
    assert result.exit_code == 3
    assert "Left out:" in result.stderr
    assert "b.png" in result.stderr
    assert {path.name for path in (tmp_path / "out").glob("*.json")} == {
        "a-panoptic.json",
        "c-panoptic.json",
    }


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    Pillow.fromarray(scene()).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("in the way")
    words = [tmp_path / "a.png", "--model", "colour", "--classes", "red", "--out"]
    result = run(*map(str, [*words, tmp_path / "file" / "out"]))
    assert result.exit_code == 3
    assert "Choose another place with --out" in result.stderr
