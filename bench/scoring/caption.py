"""`bench score caption`: captions against references, from JSON files.

The truth is COCO's caption annotations, `{"images": […], "annotations": [{"image_id", "caption"},
…]}`, or `{"refs": {image: [caption, …]}}`. The predictions are COCO results, a list of
`{"image_id", "caption"}`, or `{"hyps": {image: caption}}`. A file may hold several sets by name,
`{"set": {"refs": …, "hyps": …}}`; `layout` says which is meant. Captions are tokenised as the lines
of one text, in the truth's order, as pycocoevalcap does.
"""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from bench.errors import DataError, UsageError
from bench.metrics.caption import CaptionAgreement
from bench.metrics.java_captions import java_scores
from bench.metrics.meter import Scores, Statistics
from bench.metrics.ptb import tokenise
from bench.protocol import Protocol
from bench.scoring.files import check_ids, read_json, some

ENGINES = ("bench", "pycocoevalcap")


def score(
    truth: Path,
    predictions: Path,
    protocol: Protocol,
    engine: str = "bench",
    layout: str | None = None,
) -> Scores:
    """CIDEr, BLEU-1 to 4 and ROUGE-L. No field of the card changes them.

    `engine` «pycocoevalcap» runs the reference programs, which need Java, and adds METEOR and
    (where its models are installed) SPICE. `layout` is the name of a set, where files hold several.
    """
    if engine not in ENGINES:
        raise UsageError(
            f"No engine '{engine}' scores captions; there are {' and '.join(ENGINES)}."
        )
    if engine == "pycocoevalcap":
        references, candidates = read_captions(truth, predictions, layout)
        return java_scores([candidates[image] for image in references], list(references.values()))
    meter = CaptionAgreement()
    return meter.compute(statistics(meter, truth, predictions, layout))


def statistics(
    meter: CaptionAgreement, truth: Path, predictions: Path, layout: str | None = None
) -> list[Statistics]:
    """The statistics of each image."""
    references, candidates = read_captions(truth, predictions, layout)
    said = tokenise([candidates[image] for image in references])
    lines = iter(tokenise([caption for of_image in references.values() for caption in of_image]))
    true = [list(islice(lines, len(of_image))) for of_image in references.values()]
    return [meter.measure_tokens(*pair) for pair in zip(said, true, strict=True)]


def read_captions(
    truth: Path, predictions: Path, layout: str | None = None
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The references and the candidate of each image, by image id as text."""
    references = _references(_set(read_json(truth, "reference captions"), layout), truth)
    candidates = _candidates(_set(read_json(predictions, "captions"), layout), predictions)
    check_ids(references, candidates, thing="image", answer="caption", path=predictions)
    return references, candidates


def _set(content: Any, name: str | None) -> Any:
    """The set of that name, where the file holds sets by name."""
    return content[name] if name and isinstance(content, dict) and name in content else content


def _references(content: Any, path: Path) -> dict[str, list[str]]:
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        listed = content.get("images") or []
        references: dict[str, list[str]] = {str(_field(row, "id", path)): [] for row in listed}
        for image, caption in _pairs(content["annotations"], path):
            references.setdefault(image, []).append(caption)
    else:
        references = {
            image: captions if isinstance(captions, list) else [captions]
            for image, captions in _mapping(content, "refs", path).items()
        }
    bare = [image for image, captions in references.items() if not captions]
    if bare:
        raise DataError(f"{path}: {len(bare)} images have no reference caption: {some(bare)}.")
    for image, captions in references.items():
        for caption in captions:
            _check_text(caption, image, path)
    return references


def _candidates(content: Any, path: Path) -> dict[str, str]:
    if isinstance(content, list):
        pairs = _pairs(content, path)
    else:
        pairs = [
            (image, one)
            for image, said in _mapping(content, "hyps", path).items()
            for one in (said if isinstance(said, list) else [said])
        ]
    candidates: dict[str, str] = {}
    for image, caption in pairs:
        if image in candidates:
            raise DataError(f"{path}: image {image} has several captions; one is scored.")
        candidates[image] = _check_text(caption, image, path)
    return candidates


def _pairs(rows: list[Any], path: Path) -> list[tuple[str, Any]]:
    return [(str(_field(row, "image_id", path)), _field(row, "caption", path)) for row in rows]


def _mapping(content: Any, key: str, path: Path) -> Mapping[str, Any]:
    """The captions by image: under `key`, or the whole file."""
    if isinstance(content, dict):
        inner = content.get(key, content)
        if isinstance(inner, dict) and not any(isinstance(v, dict) for v in inner.values()):
            return {str(image): captions for image, captions in inner.items()}
        sets = [name for name, value in content.items() if isinstance(value, dict) and key in value]
        if sets:
            raise DataError(
                f"{path} holds {len(sets)} sets of captions: {some(sets)}. Say which one with "
                f"--layout."
            )
    raise DataError(
        f"{path}: captions are COCO's JSON, or an object '{key}' from image ids to captions."
    )


def _field(row: Any, name: str, path: Path) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise DataError(f"{path}: an entry has no '{name}': {str(row)[:80]}.")
    return row[name]


def _check_text(caption: Any, image: str, path: Path) -> str:
    if not isinstance(caption, str):
        raise DataError(f"{path}: the caption of image {image} is {caption!r}, not text.")
    return caption
