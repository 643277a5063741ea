"""Specs: what datasets, suites and vocabularies are, as strict data.

A spec is one YAML file. It says where files are and what they mean, and names readers, tasks,
vocabularies and protocol cards; it never imports them. Whatever is wrong in one is said in a
sentence with the file, the line and the nearest right name (`bench.blame`).
"""

import hashlib
import json
from typing import Any

from pydantic import Field, SerializeAsAny, field_validator, model_serializer, model_validator

from bench.data.source import GENERATORS, READERS, Reader, reader
from bench.errors import UnknownName
from bench.protocol import Strict
from bench.tasks import TASKS
from bench.types import Vocabulary


class Spec(Strict):
    """What every spec has."""

    name: str
    """The file's name without its extension; needs not be written."""
    title: str = ""
    """What tables call it; the name where absent."""
    about: str = ""

    def definition(self) -> dict[str, Any]:
        """The fields that can change a number: all but names and prose."""
        return self.model_dump(mode="json", exclude={"name", *_PROSE})

    def digest(self) -> str:
        """Twelve hex digits over `definition`, whatever the order of keys."""
        content = json.dumps(self.definition(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


_PROSE = frozenset(
    {"title", "about", "source", "columns", "domain", "size", "home", "protocol", "generator"}
)


class Roboflow(Strict):
    """A project of Roboflow Universe, and the version of its export."""

    workspace: str
    project: str
    version: int | None = Field(None, gt=0)
    """Absent where the paper's address does not fix it."""


class Offered(Strict):
    """A file that a dataset's distributors offer, and where what is in it goes."""

    file: str = Field(min_length=1, pattern=r"^[^/\\\\]+$")
    """Its name as they call it: how it is found in a folder of downloads and on a mirror."""
    urls: tuple[str, ...] = ()
    """Where it can be had without asking, tried in order: http, https, or
    `hf://datasets/owner/name@revision/path`. None where terms must be accepted first."""
    inside: str = ""
    """The folder in it whose content is taken; all of it where absent."""
    take: tuple[str, ...] = ()
    """Patterns of what is taken of that, as in `val2017/*`; everything where absent."""
    flat: bool = False
    """Files are taken without the folders they lie in."""
    into: str = "."
    """The folder that takes it, below the dataset's own."""
    nested: dict[str, str] = Field(default_factory=dict)
    """Archives in it, and the folders below the dataset's own that take what is in them."""
    gives: tuple[str, ...] = Field(min_length=1)
    """The files and folders, below the dataset's own, that are there when it is in place."""
    splits: tuple[str, ...] = ()
    """The splits that need it; all of them where absent."""
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """What it must have; absent: whatever it has the first time, which is then pinned."""

    @model_validator(mode="after")
    def _stays_inside(self) -> "Offered":
        for path in (self.into, *self.gives, *self.nested.values()):
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"'{path}' is not below the dataset's folder")
        return self


class Published(Strict):
    """What the paper says of a dataset, which need not be what is there."""

    table: str
    images: dict[str, int] = Field(default_factory=dict)
    """By split."""
    classes: str = Field("", pattern=r"^[0-9/]*$")
    """As printed: one number, or one for each of semantic, instance and panoptic."""


class Source(Strict):
    """Where something comes from and on what terms."""

    page: str = ""
    """The page to get it from."""
    licence: str = ""
    terms: str = ""
    """What must be accepted or done before the files can be had."""
    cite: str = ""
    note: str = ""
    roboflow: Roboflow | None = None
    """Where it was exported from, if the address says."""
    obtain: tuple[Offered, ...] = ()
    """The files to get, in order."""
    mirrors: dict[str, str] = Field(default_factory=dict)
    """Other places to get it from, by the name that `bench data get --from` takes."""
    published: Published | None = None

    @field_validator("obtain")
    @classmethod
    def _files_differ(cls, obtain: tuple[Offered, ...]) -> tuple[Offered, ...]:
        found = [(each.file, each.into) for each in obtain]
        for i, (file, into) in enumerate(found):
            if (file, into) in found[:i]:
                raise ValueError(f"'{file}' goes into '{into}' twice: join the two")
        return obtain


class Class(Strict):
    """One class of a vocabulary."""

    name: str = Field(min_length=1)
    """As the dataset's files give it."""
    prompts: tuple[str, ...] = ()
    """The words a model is asked with, synonyms after each other; the name where absent."""
    thing: bool | None = None
    """Whether it is countable; as the vocabulary says where absent."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class VocabularySpec(Spec):
    """The classes of a dataset, in the order of their labels, and the words for them."""

    things: bool = False
    """Whether classes are countable that do not say so themselves."""
    classes: tuple[Class, ...] = Field(min_length=1)
    source: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": "", "classes": value} if isinstance(value, list) else value

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, classes: tuple[Class, ...]) -> tuple[Class, ...]:
        names = [each.name for each in classes]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(f"the class '{name}' stands at {names.index(name)} and at {i}")
        return classes

    def vocabulary(self) -> Vocabulary:
        """The classes and words alone, without any protocol's templates and background."""
        return Vocabulary(
            tuple(each.name for each in self.classes),
            tuple(each.prompts or (each.name,) for each in self.classes),
            frozenset(
                label
                for label, each in enumerate(self.classes)
                if (self.things if each.thing is None else each.thing)
            ),
            background=None,
        )


class Reading(Strict):
    """A reader and its options, written as one mapping: `{reader: label-map, files: …}`."""

    reader: str
    options: SerializeAsAny[Strict]

    @model_validator(mode="before")
    @classmethod
    def _own_options(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "reader" not in value:
            return value
        name, options = value["reader"], {k: v for k, v in value.items() if k != "reader"}
        if name not in READERS:
            raise ValueError(str(UnknownName("reader", str(name), READERS)).rstrip("."))
        return {"reader": name, "options": reader(name).options.model_validate(options)}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"reader": self.reader, **self.options.model_dump(mode="json")}

    @property
    def format(self) -> Reader:
        """The reader itself."""
        return reader(self.reader)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """Either reader with its own options."""
        choices = []
        for name in READERS:
            options = _self_contained(reader(name).options.model_json_schema())
            properties = {"reader": {"const": name}, **options.get("properties", {})}
            required = ["reader", *options.get("required", ())]
            choices.append({**options, "properties": properties, "required": required})
        return {"oneOf": choices}


def _self_contained(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema with its definitions put where they are referred to."""
    definitions = schema.get("$defs", {})

    def put(value: Any) -> Any:
        if isinstance(value, list):
            return [put(item) for item in value]
        if not isinstance(value, dict):
            return value
        rest = {k: put(v) for k, v in value.items() if k not in ("$ref", "$defs")}
        if "$ref" not in value:
            return rest
        return {**put(definitions[value["$ref"].rpartition("/")[2]]), **rest}

    found: dict[str, Any] = put(schema)
    return found


class Split(Strict):
    """One part of a dataset: its images, and what is true about them."""

    images: Reading
    truth: dict[str, Reading] = Field(default_factory=dict)
    """Per task."""
    prompts: Reading | None = None
    """What is asked per image, where that is not the vocabulary."""
    size: int | None = Field(None, gt=0)
    """How many samples there are when it is complete; checked, and not needed to read it."""
    of: str | None = None
    """The split whose images these are too: some of them, or all with truth in another form."""

    def digest(self) -> str:
        """Twelve hex digits of what is read and how; what is expected of it changes nothing."""
        return Strict.digest(self.model_copy(update={"size": None, "of": None}))

    @model_validator(mode="after")
    def _readers_fit(self) -> "Split":
        readings = [("images", self.images), *self.truth.items()]
        readings += [("prompts", self.prompts)] if self.prompts else []
        for role, reading in readings:
            if role not in reading.format.gives:
                gives = ", ".join(reading.format.gives)
                raise ValueError(f"the reader '{reading.reader}' gives {gives}, not '{role}'")
        return self

    @field_validator("truth")
    @classmethod
    def _tasks_exist(cls, truth: dict[str, Reading]) -> dict[str, Reading]:
        for task in truth:
            if task not in TASKS:
                raise ValueError(str(UnknownName("task", task, TASKS)).rstrip("."))
        return truth


class DatasetSpec(Spec):
    """A dataset: where its files are, what they mean, and where they come from."""

    home: str = "."
    """Its folder under the data folder; an absolute path stands for itself."""
    generator: str | None = None
    """What writes its files into `home` the first time, for a dataset that is drawn."""
    vocabulary: str | VocabularySpec | None = None
    """The name of a vocabulary, or its classes; those that the files name where absent."""
    protocol: str | None = None
    """The protocol card it is scored under where the command names none."""
    splits: dict[str, Split] = Field(min_length=1)
    default_split: str = ""
    """The split that is scored where the command names none; the first where absent."""
    source: Source = Source()
    domain: str = ""
    """What its images are of, by which tables are grouped: `driving`, `indoor`, `animals`, …"""
    columns: dict[str, str] = Field(default_factory=dict)
    """What the paper's tables call each score on this dataset: `score`, or `task score` where two
    tasks have a score of that name."""

    @field_validator("generator")
    @classmethod
    def _generator_exists(cls, generator: str | None) -> str | None:
        if generator is not None and generator not in GENERATORS:
            raise ValueError(str(UnknownName("generator", generator, GENERATORS)).rstrip("."))
        return generator

    @model_validator(mode="after")
    def _default_exists(self) -> "DatasetSpec":
        if self.default_split and self.default_split not in self.splits:
            raise ValueError(str(UnknownName("split", self.default_split, self.splits)).rstrip("."))
        return self

    @model_validator(mode="after")
    def _wholes_exist(self) -> "DatasetSpec":
        for split in self.splits.values():
            if split.of is not None and split.of not in self.splits:
                raise ValueError(str(UnknownName("split", split.of, self.splits)).rstrip("."))
        return self

    def split(self, name: str | None = None) -> tuple[str, Split]:
        """A split and its name; the default one without a name."""
        name = name or self.default_split or next(iter(self.splits))
        if name not in self.splits:
            raise UnknownName(f"split of '{self.name}'", name, self.splits)
        return name, self.splits[name]


class Member(Strict):
    """A dataset of a suite, with what differs there; its name alone for nothing."""

    dataset: str
    split: str | None = None
    tasks: tuple[str, ...] = ()
    """All that it has truth for where absent."""
    vocabulary: str | None = None
    protocol: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"dataset": value} if isinstance(value, str) else value

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for task in tasks:
            if task not in TASKS:
                raise ValueError(str(UnknownName("task", task, TASKS)).rstrip("."))
        return tasks


class SuiteSpec(Spec):
    """Datasets that are run and shown together."""

    members: tuple[Member, ...] = Field(min_length=1)
    mean_of: tuple[str, ...] = ()
    """Scores whose mean over all members means something (`AP` for Segmentation in the Wild)."""
    protocol: str | None = None
    """The card for members that name none."""
    source: Source = Source()


__all__ = [
    "Class",
    "DatasetSpec",
    "Member",
    "Offered",
    "Published",
    "Reading",
    "Roboflow",
    "Source",
    "Spec",
    "Split",
    "SuiteSpec",
    "VocabularySpec",
]
