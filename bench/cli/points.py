"""Scores in percent and differences in points, as text."""

import math
from fractions import Fraction


def percent(value: float | None) -> str:
    """A score for eyes; absent is a dash.

    >>> percent(0.52341), percent(None)
    ('52.34', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def points(value: float | Fraction | None) -> str:
    """A difference for eyes, with its sign; nothing at all is told from very little.

    >>> points(0.0123), points(-0.00001), points(0.0), points(None)
    ('+1.23', '-0.00', '0', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{float(100 * value):+.2f}" if value else "0"
