"""What the folder of a training run says of itself, without loading what is in it.

`bench train` writes the folder; whoever evaluates the model in it says in the record how it was
trained. Reading needs JSON alone, no torch.
"""

import hashlib
import json
from pathlib import Path
from statistics import median
from typing import Any

from bench.durable import lines
from bench.errors import DataError
from bench.record import Trained

RECIPE_FILE = "recipe.json"
"""The recipe of a run, with everything that was changed for it."""
JOURNAL_FILE = "journal.jsonl"
"""One line a step."""
BEFORE = "before"
"""The folder, inside a run's, of the recipe that is trained first."""
DONE = "done"
"""The key of `recipe.json` under which it says how many steps are in the weights beside it."""


def trained_in(folder: Path) -> Trained | None:
    """How the model in a folder was trained; `None` where the folder is no training run's.

    Raises:
        DataError: its recipe or journal cannot be read.
    """
    if not (folder / RECIPE_FILE).is_file():
        return None
    try:
        recipe, steps = _recipe(folder), _steps(folder)
        return Trained(
            recipe=str(recipe["name"]),
            digest=recipe_digest(recipe),
            seed=int(recipe["seed"]),
            steps=steps,
            before=_steps(folder / BEFORE) if (folder / BEFORE / RECIPE_FILE).is_file() else 0,
            seconds=seconds_of(folder, steps),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is not whole as a training run: {error!r}.") from error


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Twelve hex digits over the values of a recipe, as `recipe.json` holds them.

    Name and prose count nothing, and neither does the recipe before, which has a file of its own.
    Switches that are off count nothing either, so that a new one leaves older recipes what they
    were.

    >>> recipe_digest({"steps": 4, "name": "a"}) == recipe_digest({"name": "b", "steps": 4})
    True
    >>> recipe_digest({"losses": {"new": False}}) == recipe_digest({"losses": {}})
    True
    """
    values = switched_on({key: value for key, value in recipe.items() if key not in _PROSE})
    content = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def switched_on(value: Any) -> Any:
    """The same without the switches that are off, as a recipe said it before there were these."""
    if isinstance(value, dict):
        return {key: switched_on(held) for key, held in value.items() if held is not False}
    return [switched_on(held) for held in value] if isinstance(value, list) else value


def seconds_of(folder: Path, steps: int) -> float:
    """How long the first steps of a run took; 0 where it has no journal."""
    first = journal(folder)[:steps]
    return round(sum(float(line["seconds"]) for line in first), 1)


def pace_of(folder: Path) -> float | None:
    """The median of a run's seconds a step, once there are a few; the first ones warm up."""
    seconds = [float(line["seconds"]) for line in journal(folder)]
    return median(seconds) if len(seconds) > WARM_UP else None


WARM_UP = 3
_PROSE = frozenset({"name", "about", "before", DONE})


def _recipe(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / RECIPE_FILE).read_bytes())
    return content


def journal(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; none where it was never written or did not come along."""
    return [json.loads(line) for _, line in lines(folder / JOURNAL_FILE)]


def _steps(folder: Path) -> int:
    """How many steps are in the weights; earlier versions said it in the journal alone."""
    recipe, steps = _recipe(folder), journal(folder)
    return int(recipe.get(DONE) or (steps[-1]["step"] if steps else recipe["steps"]))
