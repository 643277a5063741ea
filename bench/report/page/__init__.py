"""Runs as one HTML page: it opens from disk, loads nothing, and holds all it shows.

What the page says is made here, as frozen values, section by section: `summary`, `board`, `curves`,
`scores`, `confusion`, `gallery`, `provenance`. `composition` puts them together from records and a
results folder; `rendering` puts them into the templates beside it. The same records give the same
bytes.
"""

from bench.report.page.composition import Page, compose
from bench.report.page.rendering import render, write

__all__ = ["Page", "compose", "render", "write"]
