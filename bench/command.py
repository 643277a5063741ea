"""The command line that makes a run again, from what its record says of it."""

import re
import shlex

from bench.record import Origin, Record

_OPTIONS = {
    "split": "--split",
    "protocol": "--protocol",
    "vocabulary": "--vocabulary",
    "tasks": "--task",
    "limit": "--limit",
    "precision": "--precision",
    "weights": "--weights",
}
"""The options of `bench run` by the setting they make."""
_ASKED = {Origin.COMMAND_LINE, Origin.SUITE}
"""Who decides what is not so without an option."""
_DEFAULTS = {("precision", "float32")}
"""Settings that need no option."""


def command(record: Record, *, keep_raw: bool = False, protocol: str | None = None) -> str:
    """The command that runs a record's job again, with the options that were given.

    With `keep_raw` it keeps the raw answers; of a rescored run it is then the run before it. With
    `protocol` it is run under that card.
    """
    source = record.provenance.rescored_from if record.provenance else None
    if source is not None and not keep_raw and protocol is None:
        return shlex.join(["bench", "rescore", source, *_card(record.protocol.name)])
    words = ["bench", "run", _value(record, "dataset", record.dataset.name)]
    words += ["--model", _value(record, "model", record.model.name)]
    for name, setting in record.settings.items():
        if name not in _OPTIONS or setting.origin not in _ASKED or not setting.value:
            continue
        if name == "protocol" and (source is not None or protocol is not None):
            continue  # the answers came from a run under another card, or another one is wanted
        values = setting.value if isinstance(setting.value, list) else [setting.value]
        for value in values:
            if (name, value) not in _DEFAULTS:
                words += [_OPTIONS[name], str(value)]
    words += [] if protocol is None else ["--protocol", protocol]
    if tuning := record.tuning:
        words += ["--shots", tuning.shots, "--tune", tuning.strategy]
        words += ["--unit", tuning.unit] if tuning.unit != "images" else []
        words += ["--seeds", str(tuning.draw_seed + 1)] if tuning.draw_seed else []
        words += ["--trainings", str(tuning.train_seed + 1)] if tuning.train_seed else []
    return shlex.join([*words, *(["--keep-raw"] if keep_raw else [])])


def _card(name: str) -> list[str]:
    """The options of `bench rescore` that make a card of this name, as `bench.fields` calls it.

    >>> _card("native, resize.short=640")
    ['--protocol', 'native', '--set', 'resize.short=640']
    """
    card, *changes = re.split(r", (?=[\w.]+=)", name)
    return ["--protocol", card, *(word for change in changes for word in ("--set", change))]


def _value(record: Record, name: str, default: str) -> str:
    setting = record.settings.get(name)
    return default if setting is None or setting.value is None else str(setting.value)
