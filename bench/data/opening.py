"""From a spec to a dataset: its readers opened under one vocabulary and one protocol card."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import catalog
from bench.data.dataset import Dataset
from bench.data.source import (
    INCOMPLETE,
    Derived,
    Home,
    ImageSource,
    Opening,
    PromptSource,
    TruthSource,
    generate,
)
from bench.errors import UnknownName, UsageError
from bench.protocol import Protocol
from bench.spec import DatasetSpec, Split, VocabularySpec
from bench.types import Vocabulary


def open_dataset(
    spec: DatasetSpec,
    *,
    root: Path,
    protocol: Protocol,
    split: str | None = None,
    tasks: Sequence[str] | None = None,
    vocabulary: VocabularySpec | None = None,
    search: catalog.Search = (),
) -> Dataset:
    """Open one split of a dataset, ready to load samples.

    `root` is the data folder. `tasks` are some of those the split has truth for, all by default.
    `vocabulary` prompts the same classes with other words. `search` are folders of the user's own
    specs.

    Raises:
        DataMissing: files are not where the spec says; says what is missing and where to get it.
        DataError: an annotation file is not what it should be.
        UsageError: no such split or task, or the vocabulary is another dataset's.
    """
    split, part = spec.split(split)
    home = home_of(spec, root)
    if (home.path / INCOMPLETE).exists():
        what = f"`bench data get` was stopped while it moved files into {home.path}."
        raise home.missing(f"{what} The same command goes on.")
    if spec.generator is not None:
        generate(spec.generator, home.path)
    wanted = _wanted(spec, split, part, tasks)
    classes = own_vocabulary(spec, part, home, search)
    if vocabulary is not None:
        classes = _in_other_words(spec, classes, vocabulary)
    card = protocol.for_dataset(spec.name)
    opening = Opening(home, classes, card)
    truths = _open_truths(part, wanted, opening)
    notes = [note for source in truths.values() for note in getattr(source, "notes", ())]
    return Dataset(
        name=spec.name,
        split=split,
        vocabulary=asked(classes, card, search),
        images=_opened_images(part, home),
        truths=truths,
        prompts=_opened_prompts(part, opening),
        spec_digest=part.digest(),
        notes=tuple(dict.fromkeys(notes)),
        tasks=wanted,
    )


def home_of(spec: DatasetSpec, root: Path) -> Home:
    """The dataset's folder under the data folder, with what to do where files are missing."""
    source = spec.source
    page = f"`bench data get {spec.name}` gets it from {source.page}, or says how"
    get = [page if source.page else "", source.terms]
    advice = f"{'; '.join(filter(None, get))}. " if any(get) else ""
    return Home(spec.name, root / spec.home, advice + "BENCH_DATA says where the data folder is.")


def own_vocabulary(
    spec: DatasetSpec, part: Split, home: Home, search: catalog.Search = ()
) -> Vocabulary:
    """The classes of a dataset as its spec names them, or else as its files do."""
    if isinstance(spec.vocabulary, VocabularySpec):
        return spec.vocabulary.vocabulary()
    if spec.vocabulary is not None:
        return catalog.vocabulary(spec.vocabulary, search).vocabulary()
    for reading in part.truth.values():
        if reading.format.vocabulary is not None:
            return reading.format.vocabulary(reading.options, home)
    return Vocabulary((), background=None)


def asked(vocabulary: Vocabulary, protocol: Protocol, search: catalog.Search = ()) -> Vocabulary:
    """A vocabulary as a protocol card has it asked: suffixes cut, templates, background."""

    def cut(word: str) -> str:
        for suffix in protocol.strip_suffixes:
            word = word.replace(suffix, "")
        return word

    return replace(
        vocabulary,
        prompts=tuple(tuple(map(cut, words)) for words in vocabulary.prompts),
        templates=catalog.sentences(protocol.templates, search),
        background="background" if protocol.background.prompts else None,
    )


def _wanted(
    spec: DatasetSpec, split: str, part: Split, tasks: Sequence[str] | None
) -> tuple[str, ...]:
    if not tasks:
        return tuple(part.truth)
    for task in tasks:
        if task not in part.truth:
            raise UnknownName(f"task of '{spec.name}' ({split})", task, part.truth)
    return tuple(dict.fromkeys(tasks))


def _in_other_words(
    spec: DatasetSpec, classes: Vocabulary, vocabulary: VocabularySpec
) -> Vocabulary:
    other = vocabulary.vocabulary()
    if other.names != classes.names:
        pairs = zip(other.names, classes.names, strict=False)
        differing = next((f": '{a}' is not '{b}'" for a, b in pairs if a != b), "")
        raise UsageError(
            f"The vocabulary '{vocabulary.name}' has {len(other)} classes and the dataset "
            f"'{spec.name}' has {len(classes)}, which must be the same names in the same "
            f"order{differing}."
        )
    return other


def _open_truths(
    part: Split, wanted: Sequence[str], opening: Opening
) -> dict[str, TruthSource | Derived]:
    """The truths of the wanted tasks, and those that one of them follows from."""
    truths: dict[str, TruthSource | Derived] = {}
    left = list(wanted)
    while left:
        task = left.pop(0)
        reading = part.truth[task]
        source = truths[task] = reading.format.truths[task](reading.options, opening)
        if isinstance(source, Derived) and source.origin not in (*truths, *left):
            if source.origin not in part.truth:
                raise UsageError(
                    f"The dataset '{opening.home.dataset}' takes its {task} truth from its "
                    f"{source.origin} truth, and the split has none."
                )
            left.append(source.origin)
    return truths


def _opened_images(part: Split, home: Home) -> ImageSource:
    assert part.images.format.images is not None  # the spec was checked for it
    return part.images.format.images(part.images.options, home)


def _opened_prompts(part: Split, opening: Opening) -> PromptSource | None:
    if part.prompts is None:
        return None
    assert part.prompts.format.prompts is not None
    return part.prompts.format.prompts(part.prompts.options, opening)
