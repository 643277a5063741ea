"""Exports as large as Table 12 says, of tiny pictures, as archives."""

import io
import tarfile
import zipfile
from pathlib import Path

from layouts import annotation, coco, square, write_json, write_picture

from bench import catalog

PARTS = {"val": "valid", "train": "train"}


def write_export(folder: Path, name: str, *, bundle: bool = False, missing: int = 0) -> Path:
    """Segmentation in the Wild's `name`: a plain export, or as the official bundle has it."""
    spec = catalog.dataset(f"seginw-{name}")
    names = [c.name for c in catalog.vocabulary(f"seginw-{name}").classes]
    sizes = {PARTS[split]: spec.splits[split].size - missing for split in PARTS}
    if bundle:
        sizes["train_10shot"] = min(10, sizes["train"])
    first = 0 if bundle else 1
    placeholder = [] if bundle else [{"id": 0, "name": "all", "supercategory": "none"}]
    categories = placeholder + [
        {"id": i + first, "name": name, "supercategory": "all"} for i, name in enumerate(names)
    ]
    for part, size in sizes.items():
        files = [f"{part}-{i}_jpg.rf.{i}.png" for i in range(size)]
        for i, file in enumerate(files):
            write_picture(folder / part / file, seed=i)
        rows = [annotation(i, i, first, square(1, 1, 4)) for i in range(size)]
        annotations = "_annotations_min1cat.coco.json" if bundle else "_annotations.coco.json"
        write_json(folder / part / annotations, coco(files, rows, categories))
    (folder / "README.dataset.txt").write_text(f"{name}\n")
    return folder


def zipped(folder: Path, *, within: str = "") -> bytes:
    """A folder as a zip, the same bytes every time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(within + path.relative_to(folder).as_posix())
            archive.writestr(info, path.read_bytes())
    return content.getvalue()


def tarred(folder: Path) -> bytes:
    """A folder as a compressed tar."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return content.getvalue()
