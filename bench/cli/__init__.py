"""The command line: `bench run`, `bench list`, `bench show`, …; one file a command.

Exit codes, the same for every command:

    0    complete
    1    a bug of ours (the traceback is printed)
    2    the command, a spec or a protocol card is wrong
    3    data or weights are missing or unreadable
    4    some jobs failed; the same command resumes
    5    a gate failed
    6    a gate is undecided
    130  interrupted, after a clean flush; the same command resumes

Nothing heavy is imported before a command needs it: `bench --help` imports no torch.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

from bench.cli import (
    baseline,
    check,
    claims,
    compare,
    data,
    doctor,
    explain,
    listing,
    models,
    plot,
    predict,
    regress,
    report,
    reproduce,
    rescore,
    run,
    score,
    show,
    submit,
    table,
    train,
)
from bench.errors import BenchError

COMMANDS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("run", run.run),
    ("predict", predict.predict),
    ("train", train.train),
    ("list", listing.list_),
    ("show", show.show),
    ("check", check.check),
    ("score", score.score),
    ("table", table.table),
    ("plot", plot.plot),
    ("submit", submit.submit),
    ("report", report.report),
    ("compare", compare.compare),
    ("baseline", baseline.baseline),
    ("regress", regress.regress),
    ("claims", claims.claims),
    ("reproduce", reproduce.reproduce),
    ("rescore", rescore.rescore),
    ("explain", explain.explain),
    ("doctor", doctor.doctor),
)

GROUPS: dict[str, tuple[str, tuple[tuple[str, Callable[..., Any]], ...]]] = {
    "models": ("Models and their weights.", models.COMMANDS),
    "data": ("Datasets: getting them, and what is here of them.", data.COMMANDS),
}
"""Commands of two words: what the group is about, and the second words."""

INTERRUPTED = 130


def _mendable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say what a user can mend in a sentence and exit with its code; let bugs through."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:  # the reader of our output went away, as `| head` does
            sys.stderr.close()
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            print("bench: interrupted; what was finished is kept.", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    return wrapped


def build_app() -> typer.Typer:
    """The application with every command registered."""
    app = typer.Typer(
        name="bench",
        help="Benchmark and evaluate open-vocabulary segmentation models.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, command in COMMANDS:
        app.command(name)(_mendable(command))
    for group, (about, commands) in GROUPS.items():
        nested = typer.Typer(help=about, no_args_is_help=True, rich_markup_mode="rich")
        for name, command in commands:
            nested.command(name)(_mendable(command))
        app.add_typer(nested, name=group)
    return app


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(version("bench-openvocab"))
        raise typer.Exit()


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Benchmark and evaluate open-vocabulary segmentation models."""


def main() -> None:
    """The console script."""
    build_app()(args=spread_lists(sys.argv[1:]))


LISTED = {
    "--model": ("run", "table", "plot", "predict"),
    "--tune": ("run", "table"),
    "--protocol": ("run", "table"),
}
"""Options that take several words at once, as in `--model A B`, and the commands in which."""


def spread_lists(words: list[str]) -> list[str]:
    """Repeat a list option before each of its words, as the parser wants it.

    >>> spread_lists(["run", "seginw", "--model", "A", "B", "--shots", "5"])
    ['run', 'seginw', '--model', 'A', '--model', 'B', '--shots', '5']
    >>> spread_lists(["rescore", "--protocol", "native", "RUN"])
    ['rescore', '--protocol', 'native', 'RUN']
    """
    spread: list[str] = []
    option: str | None = None
    for word in words:
        if words[0] in LISTED.get(word, ()):
            option, first = word, True
            continue
        if word.startswith("-"):
            if option and first:
                spread.append(option)  # without a value: the parser will say so
            option = None
            spread.append(word)
        elif option:
            spread += [option, word]
            first = False
        else:
            spread.append(word)
    if option and first:
        spread.append(option)
    return spread
