"""Pairs are read from every kind of file, and those to be left out are."""

import io
import json
import tarfile

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.joined import LeftOut, key_of
from bench.data.pairs import PairFiles, PairStream, spelled_out
from bench.errors import DataError, DataMissing, UsageError
from bench.recipe import Exact, HubPairs, Pairs, Split

COUNT = 7


def picture(number):
    file = io.BytesIO()
    PIL.Image.fromarray(np.full((6, 9, 3), 20 * number, np.uint8)).save(file, "PNG")
    return file.getvalue()


PICTURES = [picture(number) for number in range(COUNT)]
TEXTS = [f"number {number}" for number in range(COUNT)]
NAMES = [f"COCO_val2014_{number:012d}.jpg" for number in range(COUNT)]


def vilt_arrow(path):
    table = pa.table(
        {"image": PICTURES, "caption": [[t, t.upper()] for t in TEXTS], "image_id": NAMES}
    )
    with pa.OSFile(str(path), "wb") as sink, pa.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write_table(table)


def hub_arrow(path):
    images = [{"bytes": p, "path": None} for p in PICTURES]
    table = pa.table({"image": images, "text": TEXTS})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def parquet(path):
    table = pa.table({"jpg": PICTURES, "caption": TEXTS, "__key__": NAMES})
    pq.write_table(table, path, row_group_size=3)


def tar_of_txt(path):
    _tar(path, "txt", lambda text: text.encode())


def tar_of_json(path):
    _tar(path, "json", lambda text: json.dumps({"caption": text}).encode())


def _tar(path, suffix, written):
    with tarfile.open(path, "w") as tar:
        for image, text, name in zip(PICTURES, TEXTS, NAMES, strict=True):
            stem = name.removesuffix(".jpg")
            for kind, content in (("png", image), (suffix, written(text)), ("cls", b"1")):
                member = tarfile.TarInfo(f"{stem}.{kind}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


WRITERS = {
    "vilt.arrow": vilt_arrow,
    "hub.arrow": hub_arrow,
    "rows.parquet": parquet,
    "texts.tar": tar_of_txt,
    "objects.tar": tar_of_json,
}


def epoch(source):
    """Every pair of an epoch, sorted: (brightness, caption)."""
    order = source.order(seed=5)
    places = [order[position] for position in range(len(source))]
    found = source.examples(places, np.random.default_rng(0)).examples
    assert all(example.image.shape == (4, 4, 3) for example in found)
    return sorted((int(example.image[0, 0, 0]), example.captions[0]) for example in found)


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_its_pairs(tmp_path, name):
    WRITERS[name](tmp_path / name)
    source = PairFiles.open(Pairs((name,), Exact(4)), tmp_path)
    said = [TEXTS, [text.upper() for text in TEXTS]] if name == "vilt.arrow" else [TEXTS]
    assert epoch(source) == sorted((20 * n, texts[n]) for texts in said for n in range(COUNT))


@pytest.mark.parametrize("write", [pq.write_table, None])
def test_each_text_of_an_image_is_a_pair_and_an_image_without_texts_is_none(tmp_path, write):
    said = [["a", "b"], [], None, ["c"], ["d", "e", "f"]]
    table = pa.table({"image": PICTURES[:5], "caption": said, "image_id": NAMES[:5]})
    path = tmp_path / ("a.parquet" if write else "a.arrow")
    if write:
        write(table, path, row_group_size=2)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    source = PairFiles.open(Pairs((path.name,), Exact(4)), tmp_path)
    assert epoch(source) == [(0, "a"), (0, "b"), (60, "c"), (80, "d"), (80, "e"), (80, "f")]
    names = [name for shard in source.shards for name in shard.names()]
    assert names == [NAMES[n] for n in (0, 0, 3, 4, 4, 4)]


def test_files_of_several_kinds_are_one_source(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / name)
    source = PairFiles.open(Pairs(("*.arrow", "*.tar", "rows.parquet"), Exact(4)), tmp_path)
    assert len(source) == (len(WRITERS) + 1) * COUNT, "one file has two captions an image"
    assert len(set(epoch(source))) == 2 * COUNT


@pytest.mark.parametrize("name", ["vilt.arrow", "rows.parquet", "texts.tar"])
def test_pairs_of_images_that_are_evaluated_on_are_left_out(tmp_path, monkeypatch, name):
    WRITERS[name](tmp_path / name)
    evaluated = LeftOut({Split("coco-retrieval", "test"): frozenset({2, 5, 99})})
    monkeypatch.setattr(LeftOut, "of", classmethod(lambda cls, splits, root: evaluated))
    source = PairFiles.open(Pairs((name,), Exact(4), without=(Split("x"),)), tmp_path)
    assert sorted({brightness // 20 for brightness, _ in epoch(source)}) == [0, 1, 3, 4, 6]
    assert source.notes == (
        "2 of 3 images of coco-retrieval test were among them and are left out",
    )


@pytest.mark.parametrize("column", ["image_id", "file_name"])
def test_images_to_be_left_out_are_known_by_number_or_by_file(tmp_path, monkeypatch, column):
    names = [int(name[-16:-4]) for name in NAMES] if column == "image_id" else NAMES
    pq.write_table(
        pa.table({"image": PICTURES, "text": TEXTS, column: names}), tmp_path / "a.parquet"
    )
    evaluated = LeftOut({Split("coco", "val"): frozenset({2, 5})})
    monkeypatch.setattr(LeftOut, "of", classmethod(lambda cls, splits, root: evaluated))
    source = PairFiles.open(Pairs(("a.parquet",), Exact(4), without=(Split("x"),)), tmp_path)
    assert sorted({brightness // 20 for brightness, _ in epoch(source)}) == [0, 1, 3, 4, 6]


def test_files_that_do_not_name_their_images_are_said_to_be_whole(tmp_path, monkeypatch):
    hub_arrow(tmp_path / "hub.arrow")
    evaluated = LeftOut({Split("coco", "val"): frozenset({2})})
    monkeypatch.setattr(LeftOut, "of", classmethod(lambda cls, splits, root: evaluated))
    source = PairFiles.open(Pairs(("hub.arrow",), Exact(4), without=(Split("x"),)), tmp_path)
    assert len(source) == COUNT
    assert "do not say which images they have" in source.notes[-1]


def test_a_broken_picture_is_named_and_another_pair_taken(tmp_path):
    images = [b"no picture", *PICTURES[1:]]
    pq.write_table(pa.table({"image": images, "text": TEXTS}), tmp_path / "a.parquet")
    source = PairFiles.open(Pairs(("a.parquet",), Exact(4)), tmp_path)
    with pytest.warns(UserWarning, match=r"a\.parquet.*cannot be decoded"):
        found = source.examples([(0, 0)], np.random.default_rng(1)).examples
    assert found[0].captions[0] in TEXTS[1:]


def test_nothing_but_broken_pictures_is_an_error(tmp_path):
    pq.write_table(pa.table({"image": [b""], "text": ["a"]}), tmp_path / "a.parquet")
    source = PairFiles.open(Pairs(("a.parquet",), Exact(4)), tmp_path)
    with pytest.raises(DataError, match="in a row"), pytest.warns(UserWarning, match="decoded"):
        source.examples([(0, 0)], np.random.default_rng(1))


@pytest.mark.parametrize(
    ("pattern", "write", "error", "said"),
    [
        ("*.tar", None, DataMissing, "No file fits"),
        ("a.csv", lambda path: path.write_text(""), UsageError, r"\.arrow, \.parquet, \.tar"),
        ("a.tar", lambda path: path.write_bytes(b"x" * 9999), DataError, "cannot be read"),
        (
            "a.parquet",
            lambda path: pq.write_table(pa.table({"picture": [b""]}), path),
            DataError,
            "has the columns picture",
        ),
    ],
)
def test_files_that_are_no_pairs_are_said(tmp_path, pattern, write, error, said):
    if write:
        write(tmp_path / pattern)
    with pytest.raises(error, match=said):
        len(PairFiles.open(Pairs((pattern,), Exact(4)), tmp_path))


def test_ranges_of_shards_are_spelled_out():
    assert spelled_out("a/{8..10}.tar") == ["a/8.tar", "a/9.tar", "a/10.tar"]
    assert len(spelled_out("{00..03}/{0..2}.tar")) == 12


def test_the_number_of_an_image_is_the_same_in_every_release():
    assert key_of("COCO_train2014_000000000139.jpg") == key_of("000000000139") == 139
    assert key_of("street") == "street"


# --- streams -------------------------------------------------------------------------------------


@pytest.fixture
def stream(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    parquet(tmp_path / "set" / "train.parquet")
    return lambda: PairStream(HubPairs(str(tmp_path / "set"), COUNT, Exact(4), shuffled=3))


@pytest.mark.slow
def test_each_text_of_a_streamed_image_is_a_pair(stream, tmp_path):
    said = [[f"{n} a", f"{n} b"] for n in range(COUNT)]
    pq.write_table(pa.table({"image": PICTURES, "caption": said}), tmp_path / "set/train.parquet")
    source = PairStream(HubPairs(str(tmp_path / "set"), 2 * COUNT, Exact(4), shuffled=5))
    found = source.examples(range(2 * COUNT), np.random.default_rng(0)).examples
    shades = sorted((example.captions[0], int(example.image[0, 0, 0])) for example in found)
    assert shades == [(f"{n} {which}", 20 * n) for n in range(COUNT) for which in "ab"]


def captions(source, positions):
    found = source.examples(list(positions), np.random.default_rng(0)).examples
    return [example.captions[0] for example in found]


@pytest.mark.slow  # `datasets` waits for five seconds before it begins a stream again
def test_an_epoch_of_a_stream_has_every_pair_once_and_the_next_another_order(stream):
    first, second = (captions(stream(), range(s, s + COUNT)) for s in (0, COUNT))
    assert sorted(first) == sorted(second) == TEXTS
    assert first != second


@pytest.mark.slow
def test_a_stream_goes_on_from_any_position(stream):
    whole = captions(stream(), range(12))
    source = stream()
    assert captions(source, range(8, 12)) == whole[8:]
    assert captions(source, range(3, 5)) == whole[3:5]  # back: read again from there
    assert captions(source, [5, 9]) == [whole[5], whole[9]]
