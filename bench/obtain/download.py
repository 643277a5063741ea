"""A file from a URL: whole or not at all, going on where an earlier try stopped.

A part of a file is only gone on with where the server says that it still is the same file (a strong
ETag, or the time it was changed); otherwise it begins again.
"""

import http.client
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from bench.errors import DataMissing

_BLOCK = 1 << 20
_TIMEOUT = 60.0
WAITS: Sequence[float] = (1.0, 4.0)
"""Seconds before each further try."""

Progress = Callable[[int, int | None], None]
"""(bytes so far, bytes in all where the server says)."""


def download(
    url: str,
    target: Path,
    *,
    progress: Progress = lambda done, of: None,
    waits: Sequence[float] = WAITS,
) -> None:
    """Fetch `url` into the file `target`, which is there only when it is complete.

    Raises:
        DataMissing: it cannot be had, says why; the same call goes on where it stopped.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for wait in (*waits, None):
        try:
            _continue(url, target, progress)
            return
        except HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in (408, 429):
                raise DataMissing(f"{shown(url)} cannot be had: {_meaning(error)}.") from None
            failure: Exception = error
        except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            failure = error
        if wait is None:
            reason = getattr(failure, "reason", None) or failure
            raise DataMissing(
                f"{shown(url)} cannot be had: {str(reason).rstrip('.')}. The same command goes on "
                "where it stopped."
            ) from failure
        time.sleep(wait)


def shown(url: str) -> str:
    """A URL for a person: without its query, which may hold a key.

    >>> shown("https://example.org/a.zip?key=secret")
    'https://example.org/a.zip'
    """
    return url.partition("?")[0]


def _continue(url: str, target: Path, progress: Progress) -> None:
    """Fetch what is not there yet, and put the whole in place."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataMissing(f"{shown(url)} is no http or https address.")
    part = target.with_name(target.name + ".part")
    tag = part.with_name(part.name + ".tag")
    known = _tag_of(tag) if part.is_file() else None
    done = part.stat().st_size if known else 0
    request = Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "bench"})
    if done and known:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", known)
    try:
        answer = urlopen(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        _forget(part, tag)  # it is not as long as what we have: it is another file
        _continue(url, target, progress)
        return
    with answer:
        _refuse_page(url, target, answer)
        if not _goes_on(answer, done):
            done = 0
            _forget(part, tag)
            if strong := _strong(answer):
                tag.write_text(json.dumps(strong))
        total = _length(answer, done)
        # Unbuffered, and as it arrives: what was received outlives a process that is killed.
        with part.open("ab" if done else "wb", buffering=0) as file:
            while block := answer.read1(_BLOCK):
                file.write(block)
                done += len(block)
                progress(done, total)
            os.fsync(file.fileno())
    if total is not None and done != total:
        raise ConnectionError(f"the connection broke after {done} of {total} bytes")
    os.replace(part, target)
    tag.unlink(missing_ok=True)


def _goes_on(answer: Any, done: int) -> bool:
    """Whether the answer begins where the part ends."""
    stated = answer.headers.get("Content-Range") or ""
    return bool(done) and answer.status == 206 and stated.startswith(f"bytes {done}-")


def _length(answer: Any, done: int) -> int | None:
    stated = answer.headers.get("Content-Length")
    return None if stated is None else done + int(stated)


def _strong(answer: Any) -> str | None:
    """What tells this content from any other at the same address."""
    etag: str | None = answer.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    changed: str | None = answer.headers.get("Last-Modified")
    return changed


def _tag_of(tag: Path) -> str | None:
    try:
        return str(json.loads(tag.read_text()))
    except (OSError, ValueError):
        return None


def _forget(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _refuse_page(url: str, target: Path, answer: Any) -> None:
    kind = answer.headers.get("Content-Type") or ""
    if kind.startswith("text/html") and target.suffix not in (".html", ".htm"):
        raise DataMissing(
            f"{shown(url)} answers with a web page, not with {target.name}: it wants a log-in, or "
            "has moved."
        )


def _meaning(error: HTTPError) -> str:
    meanings = {401: "it wants a log-in", 403: "it refuses", 404: "it is not there"}
    return f"{meanings.get(error.code, error.reason)} (HTTP {error.code})"
