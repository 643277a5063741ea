"""How long the segmentation metrics take, beside the tools they agree with. A command, not a test.

    python tests/benchmarks/bench_segmentation_metrics.py [--images 200]

Each tool and ours do the same work in this process, in turn, their numbers are compared, and the
fastest of some rounds counts: the seconds that pass, and those that cores spend, which say more on
a busy machine. panopticapi is in no registry: its time is measured where it is importable.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
from hotcoco.panoptic import PanopticEval
from PIL import Image
from pycocotools import mask as pycocotools_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.metrics import rle
from bench.metrics.average_precision import MaskAveragePrecision
from bench.metrics.panoptic import PanopticQuality
from bench.metrics.semantic import MeanIoU, confusion
from bench.protocol import Protocol
from bench.scoring import instance, panoptic
from bench.scoring.coco_objects import read_coco_objects
from bench.types import VOID, Instances, Mask, Panoptic, Segment, TrueInstances

ROUNDS = 20
SIZE = 480, 640
CLASSES = 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    images = parser.parse_args().images
    run_lengths()
    label_maps()
    panoptic_maps(images)
    detections(images)


def compare(title: str, work: dict[str, Callable[[], object]], *, per: int, rounds: int) -> None:
    """Time every way in turn; the first is ours, the others are said as multiples of it."""
    wall = {name: float("inf") for name in work}
    cores = dict(wall)
    for _ in range(rounds):
        for name, do in work.items():
            start, start_cores = time.perf_counter(), time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                do()
            wall[name] = min(wall[name], time.perf_counter() - start)
            cores[name] = min(cores[name], time.process_time() - start_cores)
    ours = next(iter(work))
    print(f"{title:<44} {'wall':>12} {'':>9} {'cores':>12}")
    for name in work:
        cells = (
            f"{1000 * s[name] / per:9.3f} ms {s[name] / s[ours]:7.2f} x" for s in (wall, cores)
        )
        print(f"  {name:<42}", "  ".join(cells))


# --- run lengths ---------------------------------------------------------------------------------


def blob(generator: np.random.Generator, size: tuple[int, int] = SIZE) -> np.ndarray:
    """An object with a wavy outline."""
    y, x = np.ogrid[: size[0], : size[1]]
    centre_y, centre_x = generator.uniform(0, size[0]), generator.uniform(0, size[1])
    radius_y, radius_x = np.exp(generator.uniform(np.log(8), np.log(150), 2))
    angle = np.arctan2(y - centre_y, x - centre_x)
    wave = 1 + 0.2 * np.sin(generator.integers(2, 9) * angle + generator.uniform(0, 6))
    return ((y - centre_y) / radius_y) ** 2 + ((x - centre_x) / radius_x) ** 2 < wave


def run_lengths() -> None:
    """Encoding masks that lie row after row, as networks give them."""
    generator = np.random.default_rng(0)
    masks = [blob(generator) for _ in range(100)]

    def ours() -> list[Mask]:
        return [Mask.encode(mask) for mask in masks]

    def pycocotools() -> list[Any]:
        return [pycocotools_mask.encode(np.asfortranarray(m.view(np.uint8))) for m in masks]

    strings = [row["counts"] for row in pycocotools()]
    assert [rle.compress(mask) for mask in ours()] == strings
    lying = [np.asfortranarray(mask.view(np.uint8)) for mask in masks]
    work = {
        "Mask.encode": ours,
        "pycocotools": pycocotools,
        "pycocotools, already transposed": lambda: [pycocotools_mask.encode(m) for m in lying],
        "hotcoco": lambda: [hotcoco.mask.encode(mask) for mask in masks],
    }
    compare("Encoding a mask of 480×640", work, per=len(masks), rounds=ROUNDS)


# --- label maps ----------------------------------------------------------------------------------


def scene(
    generator: np.random.Generator, size: tuple[int, int], labels: int, shapes: int
) -> tuple[np.ndarray, np.ndarray]:
    """A true map of overlapping blobs, and a prediction with other outlines and some errors."""
    true = np.full(size, generator.integers(labels), np.int32)
    said = true.copy()
    for _ in range(shapes):
        mask, label = blob(generator, size), int(generator.integers(labels))
        true[mask] = label
        shift = generator.integers(-3, 4, 2)
        wrong = generator.random() < 0.2
        said[np.roll(mask, shift, (0, 1))] = generator.integers(labels) if wrong else label
    return said, true


def label_maps() -> None:
    """The confusion matrix of a label map with a void border."""
    generator = np.random.default_rng(0)
    classes, size = 150, (512, 683)
    scenes = [scene(generator, size, classes, 40) for _ in range(20)]
    for _, true in scenes:
        true[:, :9] = VOID
    meter = MeanIoU([str(label) for label in range(classes)])

    def bincount() -> Iterator[np.ndarray]:
        """As detectron2 counts: void is one more class of the truth."""
        for said, true in scenes:
            codes = (classes + 1) * np.where(true == VOID, classes, true) + said
            yield np.bincount(codes.ravel(), minlength=(classes + 1) ** 2)

    for counts, pair in zip(bincount(), scenes, strict=True):
        square = counts.reshape(classes + 1, classes + 1)[:-1, :-1]
        assert np.array_equal(square, confusion(*pair, classes)[:, :-1])
    work = {
        "MeanIoU.measure": lambda: [meter.measure(*pair) for pair in scenes],
        "np.bincount": lambda: sum(1 for _ in bincount()),
    }
    compare("Confusion of 512×683 pixels, 150 classes", work, per=len(scenes), rounds=ROUNDS)


# --- panoptic maps -------------------------------------------------------------------------------


def panoptic_maps(images: int) -> None:
    """PQ, from arrays in memory and from PNG files."""
    generator = np.random.default_rng(0)
    pairs = [_panoptic(*scene(generator, SIZE, 20, 20), generator) for _ in range(images)]
    classes = [str(label) for label in range(133)]
    meter = PanopticQuality(classes, range(80))
    scores = meter.compute([meter.measure(*pair) for pair in pairs])

    def ours() -> object:
        return meter.compute([meter.measure(*pair) for pair in pairs])

    work: dict[str, Callable[[], object]] = {"PanopticQuality": ours}
    with tempfile.TemporaryDirectory() as name:
        truth, said = _written(Path(name), pairs, classes)
        with contextlib.suppress(ImportError):
            work["panopticapi's arithmetic, maps in memory"] = _panopticapi(truth, said, pairs)
        compare(f"PQ of {images} maps of 480×640 in memory", work, per=images, rounds=3)

        card = Protocol(name="benchmark")
        files = {
            "bench score (hotcoco)": lambda: panoptic.score(truth, said, card),
            "bench score --engine bench": lambda: panoptic.score(truth, said, card, "bench"),
            "hotcoco alone": lambda: PanopticEval(str(truth), str(said)).evaluate(),
        }
        with contextlib.suppress(ImportError):
            files["panopticapi"] = _panopticapi(truth, said, None)
        found = panoptic.score(truth, said, card)
        for score_name, score in scores.items():
            np.testing.assert_allclose(found[score_name].value, score.value, rtol=1e-12)
        compare(f"PQ of {images} PNG pairs", files, per=images, rounds=3)


def _panoptic(
    said: np.ndarray, true: np.ndarray, generator: np.random.Generator
) -> tuple[Panoptic, Panoptic]:
    """Labels as segments, with the ids of COCO's files."""
    maps = []
    for labels in (said, true):
        ids = generator.choice(2**24 - 1, 20, replace=False).astype(np.int32) + 1
        present = np.unique(labels)
        areas = np.bincount(labels.ravel(), minlength=20)
        segments = [Segment(int(ids[k]), int(k), area=int(areas[k])) for k in present]
        maps.append(Panoptic(ids[labels], tuple(segments)))
    return maps[0], maps[1]


def _written(
    folder: Path, pairs: Sequence[tuple[Panoptic, Panoptic]], classes: Sequence[str]
) -> tuple[Path, Path]:
    paths = []
    categories = [{"id": k, "name": n, "isthing": int(k < 80)} for k, n in enumerate(classes)]
    for side, name in enumerate(("said", "true")):
        (folder / name).mkdir()
        rows, listed = [], []
        for index, pair in enumerate(pairs):
            ids = pair[side].ids
            colours = np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1)
            Image.fromarray(colours.astype(np.uint8)).save(folder / name / f"{index}.png")
            segments = [
                {"id": s.id, "category_id": s.label, "area": s.area, "iscrowd": 0}
                for s in pair[side].segments
            ]
            rows.append({"image_id": index, "file_name": f"{index}.png", "segments_info": segments})
            height, width = ids.shape
            listed.append({"id": index, "height": height, "width": width, "file_name": str(index)})
        paths.append(folder / f"{name}.json")
        content = {"images": listed, "annotations": rows, "categories": categories}
        paths[-1].write_text(json.dumps(content))
    return paths[1], paths[0]


def _panopticapi(
    truth: Path, said: Path, pairs: Sequence[tuple[Panoptic, Panoptic]] | None
) -> Callable[[], object]:
    """panopticapi on one core; with `pairs`, its file reading is replaced by the arrays."""
    from panopticapi import evaluation  # type: ignore[import-not-found]

    def run() -> object:
        true_content, said_content = (json.loads(path.read_text()) for path in (truth, said))
        rows = list(zip(true_content["annotations"], said_content["annotations"], strict=True))
        categories = {row["id"]: row for row in true_content["categories"]}
        folders = [str(path.with_suffix("")) for path in (truth, said)]
        if pairs is None:
            return evaluation.pq_compute_single_core(0, rows, *folders, categories)
        maps = iter([map_.ids for said_map, true_map in pairs for map_ in (true_map, said_map)])
        opened, decoded = evaluation.Image.open, evaluation.rgb2id
        evaluation.Image.open = lambda path: 0
        evaluation.rgb2id = lambda pixels: next(maps)
        try:
            return evaluation.pq_compute_single_core(0, rows, *folders, categories)
        finally:
            evaluation.Image.open, evaluation.rgb2id = opened, decoded

    return run


# --- detections ----------------------------------------------------------------------------------


def detections(images: int) -> None:
    """Mask AP, 100 detections an image: one image after the other, and whole files."""
    with tempfile.TemporaryDirectory() as name:
        truth, results = _detected(Path(name), images)
        objects = read_coco_objects(truth, results)
        pairs = list(objects.pairs())
        meter = MaskAveragePrecision(objects.names())
        card = Protocol(name="benchmark")

        def ours() -> Any:
            return meter.compute([meter.measure(*pair) for pair in pairs])

        loaded = hotcoco.COCO(str(truth))
        hot_results = loaded.load_res(str(results))
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(truth))
            coco_results = coco.loadRes(str(results))

        def evaluate(engine: Any, *data: Any) -> Any:
            evaluation = engine(*data, "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            return evaluation.stats

        def handed() -> Any:
            rows = list(_rows(pairs))
            return evaluate(hotcoco.COCOeval, loaded, loaded.load_res(rows))

        expected = _quietly(evaluate, COCOeval, coco, coco_results)
        assert [score.value for score in ours().values()] == list(expected)
        work = {
            "MaskAveragePrecision": ours,
            "hotcoco, handed the run lengths": handed,
            "hotcoco, already loaded": lambda: evaluate(hotcoco.COCOeval, loaded, hot_results),
            "pycocotools": lambda: evaluate(COCOeval, coco, coco_results),
        }
        compare(f"Mask AP of {images} images in memory", work, per=images, rounds=3)

        def whole(engine: Any, kind: Any) -> Any:
            data = kind(str(truth))
            return evaluate(engine, data, data.loadRes(str(results)))

        files = {
            "bench score (masks and boxes)": lambda: instance.score(truth, results, card),
            "hotcoco alone (masks)": lambda: whole(hotcoco.COCOeval, hotcoco.COCO),
            "pycocotools (masks)": lambda: whole(COCOeval, COCO),
        }
        compare(f"AP of {images} images from files", files, per=images, rounds=3)

        statistics = [meter.measure(*pair) for pair in pairs]
        draws = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), 100)
        again = {"resample": lambda: meter.resample(statistics, draws)}
        compare("One bootstrap draw of AP", again, per=len(draws), rounds=2)


def _rows(pairs: Sequence[tuple[Instances, TrueInstances]]) -> Iterator[dict[str, Any]]:
    """Detections in memory as another engine can take them, without compressed strings."""
    for image, (said, _) in enumerate(pairs):
        for mask, label, score in zip(said.masks, said.labels, said.scores, strict=True):
            counts = {"size": [mask.height, mask.width], "counts": mask.counts.tolist()}
            row = {"image_id": image, "category_id": int(label), "score": float(score)}
            yield {**row, "segmentation": counts}


def _quietly(do: Callable[..., Any], *arguments: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return do(*arguments)


def _detected(folder: Path, images: int) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    annotations, results = [], []
    for image in range(images):
        masks = [blob(generator) for _ in range(8)]
        labels = generator.integers(0, CLASSES, 8)
        for mask, label in zip(masks, labels, strict=True):
            row = _row(image, label, mask)
            crowd = int(generator.random() < 0.02)
            area = int(mask.sum())
            annotations.append({**row, "id": len(annotations) + 1, "area": area, "iscrowd": crowd})
        for _ in range(100):
            chosen = generator.integers(0, 8)
            near = generator.random() < 0.5
            shift = generator.integers(-9, 10, 2)
            mask = np.roll(masks[chosen], shift, (0, 1)) if near else blob(generator)
            label = labels[chosen] if generator.random() < 0.6 else generator.integers(CLASSES)
            score = round(float(generator.random()), 4)
            results.append({**_row(image, label, mask), "score": score})
    height, width = SIZE
    truth = {
        "images": [{"id": k, "height": height, "width": width} for k in range(images)],
        "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
        "annotations": annotations,
    }
    for name, content in (("truth.json", truth), ("results.json", results)):
        (folder / name).write_text(json.dumps(content))
    return folder / "truth.json", folder / "results.json"


def _row(image: int, label: int, mask: np.ndarray) -> dict[str, Any]:
    counts = rle.compress(Mask.encode(mask)).decode()
    return {
        "image_id": image,
        "category_id": int(label),
        "segmentation": {"size": list(SIZE), "counts": counts},
    }


if __name__ == "__main__":
    main()
