"""`bench predict`: ask a model about your own images, and look at what it says."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import Json, Quiet, Specs, note, print_json, words
from bench.errors import DataError, UsageError

if TYPE_CHECKING:
    from bench.presentation import Answer
    from bench.types import Vocabulary

OUT = Path("bench-predictions")


def predict(
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Images, folders of images, or moving pictures (GIF; video)."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A name, a checkpoint, or module:attribute.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="What to ask; may be repeated: panoptic (default), semantic, instance, referring, "
            "caption, vqa, retrieval, region-retrieval, region-caption, edit."
        ),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Classes to look for: 'cat, dog, grass'.")
    ] = None,
    stuff: Annotated[
        str, typer.Option(help="Those of --classes, or more, that cannot be counted: 'grass, sky'.")
    ] = "",
    vocabulary: Annotated[
        str | None, typer.Option(help="A vocabulary in place of --classes, such as coco-133.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Ask as this dataset is asked: its vocabulary, its size of images. Without it as "
            "the model's card says, if it does."
        ),
    ] = None,
    phrase: Annotated[
        list[str] | None, typer.Option(help="What to point at (referring, region-caption, edit).")
    ] = None,
    question: Annotated[list[str] | None, typer.Option(help="What to answer (vqa).")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="What to find among the images (retrieval).")
    ] = None,
    inpaint: Annotated[
        str | None,
        typer.Option(help="module:attribute that paints: (image, mask, instruction) -> image."),
    ] = None,
    instruction: Annotated[str, typer.Option(help="What it is told to paint (edit).")] = "",
    out: Annotated[
        Path, typer.Option(help="Folder for JSON, maps and pictures.", file_okay=False)
    ] = OUT,
    protocol: Annotated[
        str | None, typer.Option(help="A protocol card; without it the model's, or bench.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="A checkpoint in place of the model's own; or random, or random:SEED."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    precision: Annotated[str, typer.Option(help="The network's number format.")] = "float32",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network: worth it for many images.")
    ] = False,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Instances below it are left out of pictures.")
    ] = 0.5,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Whether to draw the answers.")
    ] = True,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Ask a model about images, and keep the answers as JSON, maps and pictures.

    bench predict street.jpg --model xdecoder-T --classes 'car, person' --stuff 'road, sky'
    """
    from bench import catalog
    from bench.frames import frames
    from bench.predict import Desk, Request, predictions
    from bench.presentation import Asked
    from bench.workplace import DEFAULT_PROTOCOL, load_model, weights_setting

    search = tuple(specs or ())
    name, paths = _told_apart(model or [], images or [])
    settings: dict[str, Any] = weights_setting(weights)
    settings |= {"precision": precision} if precision != "float32" else {}
    settings |= {"compile": True} if compile else {}
    own = catalog.model(name).card
    like = like or (own.like if own else None) or None
    card = catalog.protocol(protocol or (own and own.protocol) or DEFAULT_PROTOCOL, search)
    request = Request(
        words(task) or ("panoptic",),
        card,
        Asked(None, tuple(phrase or ()), tuple(question or ()), tuple(text or ()), min_score),
        _vocabulary(classes, stuff, vocabulary, like, search),
        like,
        _imported(inpaint),
        instruction,
        search,
    )
    built = load_model(name, device, **settings)
    warnings = [f"{name}: {text}" for text in getattr(built, "notes", ())]
    for warning in warnings:
        note(warning)
    about = {
        "model": name if weights is None else f"{name} (weights: {weights})",
        "notes": list(getattr(built, "notes", ())),
        "protocol": {"name": card.name, "digest": card.digest()},
    }
    desk = Desk(out, about, warnings, pictures)
    written: list[dict[str, Any]] = []
    unreadable: list[DataError] = []
    seen = frames(paths, unreadable.append)
    for frame, answer in predictions(built, seen, request, name=name):
        files = desk.write(frame, answer)
        written.append({"image": frame.name, "task": answer.task, "files": files})
        if as_json:
            written[-1] |= answer.content
        else:
            _say(frame.name, answer)
    if as_json:
        print_json(written)
    note(f"{sum(len(row['files']) for row in written)} files in {out}", quiet=quiet)
    if unreadable:
        raise DataError("Left out: " + " ".join(f"{error}" for error in unreadable))


def _told_apart(models: Sequence[str], images: Sequence[Path]) -> tuple[str, list[Path]]:
    """The model and the images; `--model M a.png` names an image after the model."""
    if not models:
        raise UsageError("Say which model to ask: --model NAME. `bench list models` has the names.")
    paths = [*images, *(Path(word) for word in models[1:])]
    if not paths:
        raise UsageError("Say which images to look at: files, folders, or moving pictures.")
    return models[0], paths


def _vocabulary(
    classes: str | None,
    stuff: str,
    vocabulary: str | None,
    like: str | None,
    search: tuple[Path, ...],
) -> "Vocabulary | None":
    """The classes a person names, or those of a vocabulary or a dataset."""
    from bench import catalog
    from bench.types import Vocabulary

    if classes is not None or stuff:
        if vocabulary is not None:
            raise UsageError("Give --classes or --vocabulary, not both.")
        uncounted = words([stuff])
        names = tuple(dict.fromkeys((*words([classes or ""]), *uncounted)))
        if not names:
            raise UsageError("--classes names no class: give them as 'car, person'.")
        things = frozenset(i for i, name in enumerate(names) if name not in uncounted)
        return Vocabulary(names, things=things)
    if vocabulary is not None:
        return catalog.vocabulary(vocabulary, search).vocabulary()
    return None if like is None else _vocabulary_of(like, search)


def _vocabulary_of(dataset: str, search: tuple[Path, ...]) -> "Vocabulary":
    """The classes of a dataset: as its spec names them, else as its files do."""
    from bench import catalog
    from bench.workplace import load_dataset

    stated = catalog.dataset(dataset, search).vocabulary
    if stated is None:
        return load_dataset(dataset, specs=search).vocabulary
    spec = catalog.vocabulary(stated, search) if isinstance(stated, str) else stated
    return spec.vocabulary()


def _imported(name: str | None) -> Any:
    """What `module:attribute` names, from the current folder too."""
    if name is None:
        return None
    from importlib import import_module

    from bench.roster import importing_from_here

    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(f"--inpaint takes module:attribute, not '{name}'.")
    try:
        with importing_from_here():
            return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--inpaint {name} cannot be imported: {error}.") from error


def _say(name: str, answer: "Answer") -> None:
    for line in answer.said or (", ".join(_referred(answer)),):
        print(f"{name} · {answer.task}: {line}")


def _referred(answer: "Answer") -> Iterator[str]:
    for region in answer.regions:
        share = region.mask.area / (region.mask.height * region.mask.width)
        yield f"{region.name} ({share:.1%} of the image)"
