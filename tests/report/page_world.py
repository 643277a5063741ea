"""Runs to make a page of: two small folders, with names as hostile as file systems allow."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.execute import Finished
from bench.plan import Job
from bench.raw import Numbers
from bench.record import Record, Tuned, Tuning
from bench.report.page import Page, compose
from bench.store import Store
from bench.workplace import Workplace, run_job

SIZE = (36, 48)
COLOURS = {"red <script>alert(1)</script>": (220, 30, 30), 'blue & "round"': (30, 60, 220)}
"""Classes, and the colour of their squares."""
INSTANCES = "things <img src=x onerror=alert(2)>"
LABELS = "ground"


def scene(number: int) -> tuple[np.ndarray, dict[int, tuple[int, int, int]]]:
    """A green image with a square of each colour; label -> its top, left and side."""
    generator = np.random.default_rng(number)
    pixels = np.full((*SIZE, 3), (40, 150, 50), np.uint8)
    places = {}
    for label, colour in enumerate(COLOURS.values()):
        top, side = int(generator.integers(2, 20)), int(generator.integers(7, 14))
        left = 2 + 24 * label
        pixels[top : top + side, left : left + side] = colour
        places[label] = (top, left, side)
    return pixels, places


def write_instances(folder: Path, count: int = 5) -> Path:
    """A COCO export in which one square in three is called what it is not."""
    root = folder / INSTANCES
    root.mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        pixels, places = scene(number)
        name = f"<u>scene{number}'.png"
        Image.fromarray(pixels).save(root / name)
        images.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for label, (top, left, side) in places.items():
            called = 1 - label if number % 3 == 2 else label
            right, bottom = left + side, top + side
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": called + 1,
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                    "bbox": [left, top, side, side],
                    "area": side * side,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(COLOURS, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "_annotations.coco.json").write_text(json.dumps(content))
    return root


def write_labels(folder: Path, count: int = 4) -> Path:
    """Images with label maps: grass, and the squares on it."""
    root = folder / LABELS
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for number in range(count):
        pixels, places = scene(number + 50)
        labels = np.zeros(SIZE, np.uint8)
        for label, (top, left, side) in places.items():
            labels[top : top + side, left : left + side] = label + 1
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        Image.fromarray(labels).save(root / "labels" / f"{number}.png")
    (root / "classes.txt").write_text("\n".join(["grass", *COLOURS]))
    return root


def run_all(folder: Path, results: Path, *, keep_raw: bool = True) -> Store:
    """`colour` on both folders, and on one under another card."""
    numbers = Numbers.EXACT if keep_raw else None
    place = Workplace(results=results, keep_raw=numbers)
    store = Store(results)
    for root, protocol in (
        (folder / INSTANCES, "bench"),
        (folder / INSTANCES, "native"),
        (folder / LABELS, "bench"),
    ):
        job = Job(model="colour", dataset=str(root), protocol=protocol)
        *_, last = run_job(place, job, "cpu")
        assert isinstance(last, Finished)
        store.append(last.record)
    return store


def tuned(record: Record, shots: str, gain: float, *, draw: int = 0) -> Record:
    """A made-up run of the same model, tuned: no images of it are kept."""
    tuning = Tuning(shots=shots, strategy="prompt", draw_seed=draw)
    scores = {
        task: {
            name: score.model_copy(update={"value": None if score.value is None else gain})
            for name, score in of_task.items()
        }
        for task, of_task in record.scores.items()
    }
    changes = {
        "key": f"{shots}-{draw}-{record.key}",
        "tuning": tuning,
        "tuned": Tuned(support=("a",), parameters=12, seconds=1.5),
        "scores": scores,
    }
    return record.model_copy(update=changes)


def all_records(store: Store) -> list[Record]:
    """What was run, and a few-shot curve."""
    records = list(store.records())
    few = [tuned(records[0], "1", 0.4), tuned(records[0], "1", 0.6, draw=1)]
    return [*records, *few, tuned(records[0], "all", 0.8)]


def page_of(store: Store, records: Sequence[Record] = (), **options: object) -> Page:
    """A page about all of it."""
    return compose(records or all_records(store), store, **options)  # type: ignore[arg-type]


class Talker:
    """Says the same of every image, and answers every question alike."""

    def caption(self, images: Sequence[np.ndarray]) -> list[str]:
        return ["a red <b>square</b>"] * len(images)

    def answer(
        self, images: Sequence[np.ndarray], questions: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        return [["yes" for _ in of_image] for of_image in questions]

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([image.mean(axis=(0, 1)) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), 1.0, 2.0] for text in texts])


def run_one(model: str, dataset: str, results: Path) -> Store:
    """A run on the first images of a dataset of the embedded world."""
    job = Job(model=model, dataset=dataset, limit=3)
    *_, last = run_job(Workplace(results=results, keep_raw=Numbers.EXACT), job, "cpu")
    assert isinstance(last, Finished)
    store = Store(results)
    store.append(last.record)
    return store
