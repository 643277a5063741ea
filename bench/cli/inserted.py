"""Tables that stand in a Markdown file, each made by the command it is under.

<!-- bench table seginw --model colour -->
… what that command prints with --format markdown …
<!-- end of table -->
"""

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from bench.errors import DataMissing, UsageError

PLACE = re.compile(
    r"^<!-- bench (?P<command>table .*?) -->\n(?P<table>.*?)^<!-- end of table -->$",
    re.MULTILINE | re.DOTALL,
)


def renew(file: Path) -> int:
    """Make every table in a file anew; gives how many there are.

    Raises:
        DataMissing: the file is not there.
        UsageError: no table has a place in it, or it cannot be read or written.
    """
    if not file.is_file():
        raise DataMissing(f"There is no file {file} to put tables into.")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as text in UTF-8: {error}.") from error
    renewed, count = PLACE.subn(_made, text)
    if not count:
        raise UsageError(
            f"No table has a place in {file}: put one between the lines "
            "'<!-- bench table SUITE -->' and '<!-- end of table -->'."
        )
    if renewed != text:
        try:
            file.write_text(renewed, "utf-8")
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
    return count


def _made(place: re.Match[str]) -> str:
    command = place["command"]
    return f"<!-- bench {command} -->\n\n{printed(command)}\n<!-- end of table -->"


def printed(command: str) -> str:
    """What a command prints as Markdown."""
    from bench.cli import build_app, spread_lists

    try:
        asked = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"`bench {command}` is no command: {error}.") from error
    words = spread_lists([*asked, "--format", "markdown", "--quiet"])
    said = io.StringIO()
    with redirect_stdout(io.StringIO()) as shown, redirect_stderr(said):
        code = build_app()(words, standalone_mode=False)
    if code:
        raise UsageError(f"`bench {command}` fails. {said.getvalue().strip()}")
    return shown.getvalue()
