"""`bench show`: everything about one thing, whatever its kind."""

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any

import typer

from bench.cli.options import (
    RESULTS_DEFAULT,
    Json,
    Results,
    Specs,
    print_json,
)
from bench.errors import UnknownName, UsageError


def show(
    name: Annotated[
        str, typer.Argument(help="A dataset, suite, model, protocol, vocabulary, run or path.")
    ] = "",
    schema: Annotated[
        str | None,
        typer.Option(help="Print the JSON Schema of a kind: dataset, suite, vocabulary, …"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="For a protocol card: as it applies to this dataset.")
    ] = None,
    as_json: Json = False,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
) -> None:
    """Show a dataset, suite, model, protocol card, vocabulary, list of templates or run."""
    if schema is not None:
        print_json(_schema(schema))
        return
    if not name:
        raise UsageError("Say what to show, for example `bench show shapes`, or give --schema.")
    search = tuple(specs or ())
    found = _found(name, search, results)
    if dataset is not None:
        from bench import catalog

        card = catalog.protocol(name, search).for_dataset(dataset)
        found = {"protocol": {"digest": card.digest(), "for": dataset, **card.definition()}}
    if as_json:
        print_json(found)
        return
    import yaml

    for index, (kind, content) in enumerate(found.items()):
        print(("\n" if index else "") + f"# {kind}")
        print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), end="")


def _schema(kind: str) -> dict[str, Any]:
    from bench import catalog
    from bench.record import Record

    models: dict[str, Any] = {k.noun: k.model for k in catalog.KINDS} | {"record": Record}
    if kind not in models:
        raise UnknownName("kind", kind, models)
    schema: dict[str, Any] = models[kind].model_json_schema()
    return schema


def _found(name: str, search: tuple[Any, ...], results: Any) -> dict[str, Any]:
    """Everything of that name, by kind: a dataset and its vocabulary may share one."""
    from bench import catalog
    from bench.store import Store

    found: dict[str, Any] = {}
    for kind in catalog.KINDS:
        if name in catalog.claims(kind, search):
            spec = catalog.spec(kind, name, search)
            found[kind.noun] = {"digest": spec.digest(), **_stated(spec)}
    cards = catalog.models()
    if name in cards:
        found["model"] = _card(cards[name])
    runs = [r for r in Store(results).records() if r.key.startswith(name)] if name else []
    if len(runs) == 1:
        found["run"] = runs[0].model_dump(mode="json")
    return found or _by_path(name, search)


def _by_path(name: str, search: tuple[Any, ...]) -> dict[str, Any]:
    """A folder of data, a spec file, or the error that names near things."""
    from pathlib import Path

    from bench import catalog

    path = Path(name)
    if path.exists() or "/" in name:
        spec = catalog.dataset(name, search)
        return {"dataset": {"digest": spec.digest(), **_stated(spec)}}
    known = [*catalog.models()]
    for kind in catalog.KINDS:
        known += catalog.claims(kind, search)
    raise UnknownName("name", name, known)


def _stated(spec: Any) -> dict[str, Any]:
    """What a spec says, without what it leaves at its default."""
    stated: dict[str, Any] = spec.model_dump(mode="json", exclude_defaults=True)
    return stated


def _card(card: Any) -> dict[str, Any]:
    plain: Callable[[Any], Any] = lambda v: (  # noqa: E731
        {k: plain(x) for k, x in v.items()}
        if isinstance(v, dict)
        else [plain(x) for x in v]
        if isinstance(v, list | tuple)
        else v
    )
    content = asdict(card) if is_dataclass(card) and not isinstance(card, type) else vars(card)
    shown: dict[str, Any] = plain({k: v for k, v in content.items() if v not in (None, "", (), {})})
    return shown
