"""The records of trials that ship with the package: `results/trials/*.jsonl`.

They are apart from the records beside them, which leaderboards show: models that were trained for a
moment to be compared with each other belong on none.
"""

from functools import lru_cache
from importlib.resources import files

from bench.record import Record


@lru_cache(maxsize=1)
def shipped_records() -> tuple[Record, ...]:
    """Every record of a trial that ships with the package, in the order of the files."""
    folder = files("results").joinpath("trials")
    if not folder.is_dir():
        return ()
    return tuple(
        Record.parse(line, f"results/trials/{file.name}, line {number}")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".jsonl")
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
    )
