"""What the words of `bench run` ask for: targets, models, shots and cards, and jobs of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import words
from bench.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from bench.plan import Job
    from bench.spec import Member


def told_apart(
    targets: list[str], models: list[str], search: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """Targets and models; `--model A shapes` without a target before it means shapes is one."""
    from bench import catalog

    models = list(words(models))
    if not models:
        raise UsageError("Say which model to run: --model NAME. `bench list models` has the names.")
    if targets:
        return targets, models
    known = {*catalog.datasets(search), *catalog.suites(search)}
    as_targets = [
        name
        for name in models[1:]
        if name in known or (Path(name).is_dir() and not any(Path(name).glob("*.safetensors")))
    ]
    models = [name for name in models if name not in as_targets]
    if not as_targets:
        raise UsageError(
            "Say what to run on: a suite, a dataset or a folder, as in "
            f"`bench run shapes --model {models[0]}`. `bench list datasets` has the names."
        )
    return as_targets, models


def members(targets: Sequence[str], search: Sequence[Path]) -> Iterator["Member"]:
    """The datasets to run on, each as a suite states it."""
    from bench import catalog
    from bench.spec import Member

    datasets, suites = catalog.datasets(search), catalog.suites(search)
    for target in targets:
        if target in suites:
            suite = catalog.suite(target, search)
            for member in suite.members:
                card = member.protocol or suite.protocol
                yield member.model_copy(update={"protocol": card})
        elif target in datasets or Path(target).exists() or "/" in target:
            yield Member(dataset=target)
        else:
            raise UnknownName("dataset or suite", target, {*datasets, *suites})


def template(member: "Member", given: Mapping[str, object]) -> "Job":
    """What all jobs of a member share, and who decided it: the command line before the suite."""
    from bench.plan import Job
    from bench.record import Origin

    stated = {
        "split": member.split,
        "protocol": member.protocol,
        "vocabulary": member.vocabulary,
        "tasks": member.tasks,
    }
    of_suite = {name: value for name, value in stated.items() if value not in (None, ())}
    origins: dict[str, Origin] = dict.fromkeys(of_suite, Origin.SUITE)
    origins |= dict.fromkeys((*given, "model", "dataset"), Origin.COMMAND_LINE)
    values = {"model": "", "dataset": "", **of_suite, **given, "origins": origins}
    return Job.model_validate(values)


def cards(options: Sequence[str] | None) -> list[dict[str, object]]:
    """The setting of each protocol card that is named; one without any where none is."""
    return [{"protocol": name} for name in dict.fromkeys(words(options))] or [{}]


def shot_counts(asked: str) -> list[str]:
    """The counts of `--shots`, checked."""
    counts = list(words([asked]))
    for count in counts:
        if count != "all" and not count.isdigit():
            raise UsageError(
                f"--shots takes whole numbers or 'all', as in 0,1,5,all; not '{count}'."
            )
    if not counts:
        raise UsageError("--shots is empty; 0 is zero-shot.")
    return [count if count == "all" else str(int(count)) for count in counts]
