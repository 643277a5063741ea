"""Names stand for specs and models; whatever a name stands for is found when it is used."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
from data.layouts import write_roboflow

from bench import catalog, roster
from bench.data.opening import open_dataset
from bench.errors import DataMissing, UnknownName, UsageError, WeightsMissing

SPEC = "splits: {val: {images: {reader: files, files: 'images/{id}.png'}}}"


def own(tmp_path, kind="datasets", **specs):
    (tmp_path / kind).mkdir(exist_ok=True)
    for name, text in specs.items():
        (tmp_path / kind / f"{name}.yaml").write_text(text)
    return [tmp_path]


@pytest.mark.parametrize(
    ("listing", "name"),
    [
        (catalog.datasets, "shapes"),
        (catalog.suites, "shapes-in-the-wild"),
        (catalog.vocabularies, "coco-133"),
        (catalog.protocols, "bench"),
        (catalog.templates, "clip-81"),
    ],
)
def test_shipped_names_are_listed(listing, name):
    assert name in listing()


def test_a_users_own_specs_are_found_beside_the_shipped_ones(tmp_path):
    search = own(tmp_path, mine=SPEC)
    assert {"mine", "shapes"} <= set(catalog.datasets(search))
    assert catalog.dataset("mine", search).name == "mine"
    assert "mine" not in catalog.datasets()


def test_a_folder_of_specs_that_is_laid_out_otherwise_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text(SPEC)
    with pytest.raises(UsageError, match="has none of the folders datasets, suites"):
        catalog.datasets([tmp_path])


def test_a_spec_is_found_by_its_path(tmp_path):
    own(tmp_path, mine=SPEC)
    assert catalog.dataset(str(tmp_path / "datasets" / "mine.yaml")).name == "mine"


def test_two_claims_on_one_name_name_both(tmp_path):
    search = own(tmp_path, shapes=SPEC)
    with pytest.raises(UsageError) as caught:
        catalog.datasets(search)
    assert str(tmp_path / "datasets" / "shapes.yaml") in str(caught.value)
    assert str(caught.value).count("shapes.yaml") == 2


@pytest.mark.parametrize(
    ("find", "name", "near"),
    [
        (catalog.dataset, "ade20k-15O", "ade20k-150"),
        (catalog.suite, "shapes-in-wild", "shapes-in-the-wild"),
        (catalog.vocabulary, "coco133", "coco-133"),
        (catalog.protocol, "xdecoder_v2", "xdecoder-v2"),
        (catalog.sentences, "clip81", "clip-81"),
    ],
)
def test_an_unknown_name_suggests_a_near_one(find, name, near):
    with pytest.raises(UnknownName, match=f"Did you mean .*'{near}'"):
        find(name)


def test_a_path_that_is_not_there_is_missing_data():
    with pytest.raises(DataMissing, match="no dataset spec or folder at here/nothing"):
        catalog.dataset("here/nothing")


def test_a_dataset_is_added_by_one_file_and_no_code(tmp_path):
    """The README's example: pictures, label maps and a spec; then samples."""
    from PIL import Image

    data, specs = tmp_path / "data", tmp_path / "specs"
    specs.mkdir()
    for folder, pixels in (
        ("images", np.zeros((8, 8, 3), np.uint8)),
        ("labels", np.tile(np.uint8([1, 2, 2, 0]), (8, 2))),
    ):
        (data / "gardens" / folder).mkdir(parents=True)
        Image.fromarray(pixels).save(data / "gardens" / folder / "one.png")
    search = own(
        specs,
        gardens="""
            title: Gardens
            home: gardens
            vocabulary: [soil, {name: plant, prompts: [plant, leaf]}]
            splits:
              val:
                images: {reader: files, files: "images/{id}.png"}
                truth:
                  semantic: {reader: label-map, files: "labels/{id}.png", offset: 1, ignore: [0]}
        """,
    )
    spec = catalog.dataset("gardens", search)
    dataset = open_dataset(spec, root=data, protocol=catalog.protocol("bench"), search=search)
    sample = dataset.load("one")
    assert sample.truths["semantic"][0, :4].tolist() == [0, 1, 1, -1]
    assert sample.prompt.prompts[1] == ("plant", "leaf")


def test_another_packages_specs_are_found_and_a_broken_one_is_told(tmp_path, monkeypatch):
    (tmp_path / "toy_specs").mkdir()
    own(tmp_path / "toy_specs", theirs=SPEC)
    (tmp_path / "toy_specs" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("toys", "toy_specs", "bench.datasets"),
        EntryPoint("wreck", "no_such_package", "bench.datasets"),
    ]
    monkeypatch.setattr(catalog, "entry_points", lambda group: EntryPoints(points))
    assert catalog.dataset("theirs").name == "theirs"
    assert "No module named 'no_such_package'" in catalog.broken()["wreck"]
    with pytest.raises(UnknownName, match="'wreck' is broken"):
        catalog.dataset("wrecked")


# --- models --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ToyCard:
    name: str
    title: str = "a toy"
    family: str = "toys"
    answers: tuple[str, ...] = ()
    licence: str = ""
    protocol: str = ""


class Toy:
    def __init__(self, card=None, weights=None, device="cpu"):
        self.card, self.weights, self.device = card, weights, device

    def __call__(self):
        raise AssertionError("a model that can be called is not a way to make one")


TOY = Toy()


def plugged_in(monkeypatch, **families):
    """Outside families by entry-point name: a module's content, or an error it raises."""
    points = []
    for name, content in families.items():
        module = f"toy_family_{name}"
        if isinstance(content, Exception):
            points.append(EntryPoint(name, f"no_such_module_{name}", "bench.models"))
            continue
        made = type(sys)(module)
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, module, made)
        points.append(EntryPoint(name, module, "bench.models"))
    monkeypatch.setattr(roster, "entry_points", lambda group: EntryPoints(points))


def toys(*names, **more):
    cards = {name: ToyCard(name) for name in names}
    return {"CARDS": cards, "build": Toy, **more}


def test_shipped_families_import_and_their_cards_bear_their_names():
    assert roster.broken_families() == {}
    for name, card in catalog.models().items():
        assert card.name == name
        assert card.title


def test_a_plugged_in_model_is_built_by_name(monkeypatch):
    plugged_in(monkeypatch, toys=toys("toy-S", "toy-L"))
    ref = catalog.model("toy-L")
    assert ref.card.name == "toy-L"
    assert ref.build(device="cuda:1").device == "cuda:1"


def test_two_families_that_claim_one_model_are_both_named(monkeypatch):
    plugged_in(monkeypatch, mine=toys("toy"), yours=toys("toy"))
    with pytest.raises(UsageError, match=r"'toy'.*toy_family_mine.*toy_family_yours"):
        catalog.models()


def test_a_broken_plug_in_is_listed_hides_nothing_and_is_told_when_a_name_is_not_found(monkeypatch):
    plugged_in(monkeypatch, toys=toys("toy"), wreck=ImportError())
    assert "toy" in catalog.models()
    assert "no_such_module_wreck" in catalog.broken()["wreck"]
    with pytest.raises(UnknownName, match=r"'wreck' is broken: .*No module named"):
        catalog.model("wreck-L")


def test_a_checkpoint_is_a_model_of_the_family_that_knows_it(monkeypatch, tmp_path):
    mine, other = tmp_path / "mine.pt", tmp_path / "other.pt"
    for path in (mine, other):
        path.write_bytes(b"")
    known = toys("toy", card_of=lambda path: ToyCard("toy") if path == mine else None)
    plugged_in(monkeypatch, toys=known)
    assert catalog.model(str(mine)).build().weights == mine
    with pytest.raises(UsageError, match=r"other\.pt is not a checkpoint of a known family"):
        catalog.model(str(other))
    with pytest.raises(WeightsMissing, match="no checkpoint at"):
        catalog.model(str(tmp_path / "gone.pt"))


@pytest.mark.parametrize("attribute", ["Toy", "TOY"])
def test_an_importable_object_or_class_is_a_model(attribute, monkeypatch):
    monkeypatch.setitem(sys.modules, "test_catalog", sys.modules[__name__])
    assert isinstance(catalog.model(f"test_catalog:{attribute}").build(), Toy)


@pytest.mark.parametrize("name", ["no_such_module:Toy", "test_catalog:Nothing"])
def test_what_cannot_be_imported_says_why(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "test_catalog", sys.modules[__name__])
    with pytest.raises(UsageError, match="cannot be imported"):
        catalog.model(name)


def needs(size):
    return Toy()


def test_a_function_that_needs_more_than_nothing_is_no_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "test_catalog", sys.modules[__name__])
    with pytest.raises(UsageError, match="without arguments: missing a required argument: 'size'"):
        catalog.model("test_catalog:needs").build()


@pytest.mark.parametrize(
    ("name", "called"),
    [("coco", "./coco"), ("my-captions", "./my-captions"), ("mine", "mine")],
)
def test_a_folder_is_never_taken_for_a_known_dataset(tmp_path, name, called):
    folder = write_roboflow(tmp_path / name)
    spec = catalog.dataset(str(folder))
    assert spec.name == called
    card = catalog.protocol("bench")
    assert card.for_dataset(spec.name).definition() == card.for_dataset("mine").definition()


def test_a_model_beside_the_command_is_found(tmp_path, monkeypatch):
    (tmp_path / "model_of_mine.py").write_text("class Mine: ...")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    assert type(catalog.model("model_of_mine:Mine").build()).__name__ == "Mine"
    assert "" not in sys.path


def test_an_unknown_model_suggests_a_near_one(monkeypatch):
    plugged_in(monkeypatch, toys=toys("toy-large"))
    with pytest.raises(UnknownName, match="Did you mean 'toy-large'"):
        catalog.model("toy-lrge")
