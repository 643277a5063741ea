"""Whether specs hold together: each is valid, and every name in it stands for something."""

from collections.abc import Iterator
from typing import Any

from bench import catalog
from bench.data.check import Finding, Report, Severity
from bench.errors import BenchError, UnknownName
from bench.protocol import Protocol
from bench.spec import DatasetSpec, SuiteSpec

_UNUSABLE = "Nothing that needs it can run."


def check_specs(search: catalog.Search = ()) -> Report:
    """Read every spec of every kind, shipped and the user's own, and follow the names in it."""
    findings = [finding for kind in catalog.KINDS for finding in _check_kind(kind, search)]
    return Report("specs", {}, tuple(findings))


def _check_kind(kind: catalog.Kind[Any], search: catalog.Search) -> Iterator[Finding]:
    for name, file in catalog.claims(kind, search).items():
        try:
            spec = catalog.spec(kind, name, search)
            _follow(spec, search)
        except BenchError as error:
            yield Finding(Severity.PROBLEM, str(file), str(error), _UNUSABLE)


def _follow(spec: Any, search: catalog.Search) -> None:
    """Look up every name in a spec; raises what the first wrong one raises."""
    if isinstance(spec, DatasetSpec):
        if isinstance(spec.vocabulary, str):
            catalog.vocabulary(spec.vocabulary, search)
        if spec.protocol is not None:
            catalog.protocol(spec.protocol, search)
    elif isinstance(spec, SuiteSpec):
        for member in spec.members:
            _, split = catalog.dataset(member.dataset, search).split(member.split)
            for task in member.tasks:
                if task not in split.truth:
                    raise UnknownName(f"task of '{member.dataset}'", task, split.truth)
            for name in filter(None, (member.protocol, spec.protocol)):
                catalog.protocol(name, search)
            if member.vocabulary is not None:
                catalog.vocabulary(member.vocabulary, search)
    elif isinstance(spec, Protocol):
        templates = [spec.templates, *(d.get("templates") for d in spec.datasets.values())]
        for name in filter(None, templates):
            catalog.sentences(name, search)
