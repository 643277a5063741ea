"""A page as HTML: templates, style and script from the files beside this one, in one text.

Nothing of what a page says is ever part of its script or style, and everything is escaped. The
page's own policy (CSP) forbids loading anything, and any script and style but those two.
"""

import math
from base64 import b64encode
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.durable import whole
from bench.report.page.composition import Page


def render(page: Page) -> str:
    """The page as one HTML document."""
    style, script = _text("page.css"), _text("page.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src-elem '{_fingerprint(style)}'",
            "style-src-attr 'unsafe-inline'",  # the lengths of bars
            f"script-src '{_fingerprint(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            style=style,
            script=script,
            policy=policy,
            version=version("bench-openvocab"),
        )
    )


def write(page: Page, path: Path) -> int:
    """Write the page in one step; how many bytes it has.

    Raises:
        CannotWrite: it cannot be written there.
    """
    content = render(page).encode()
    with whole(path, "--out") as unfinished:
        unfinished.write_bytes(content)
    return len(content)


def _text(name: str) -> str:
    return files("bench.report.page").joinpath(name).read_text("utf-8")


def _fingerprint(text: str) -> str:
    """What a policy calls an inline script or style by."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "duration": as_time,
        "bytes": as_bytes,
        "moment": moment,
    }
    return environment


# --- how numbers are written ---------------------------------------------------------------------


def percent(value: float | None) -> str:
    """A fraction in percent, without the sign; absent is a dash.

    >>> percent(0.36441), percent(None)
    ('36.4', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def as_bytes(size: int) -> str:
    """Bytes in the unit that has digits to show.

    >>> as_bytes(950), as_bytes(322_224_128)
    ('950 B', '322.2 MB')
    """
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB"):
        size_in = size / 1000 ** (("kB", "MB", "GB").index(unit) + 1)
        if size_in < 1000:
            break
    return f"{size_in:.1f} {unit}"


def as_time(seconds: float) -> str:
    """A length of time, to what matters of it.

    >>> as_time(0.42), as_time(75.4), as_time(7322)
    ('0.4 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(when: datetime) -> str:
    """A date and time, to the minute.

    >>> moment(datetime.fromisoformat("2024-05-01T09:30:12+00:00"))
    '2024-05-01 09:30 UTC'
    """
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".strip()
