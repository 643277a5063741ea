"""Fetching weights: whole, checked, pinned, and going on where it stopped."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import build_app
from bench.errors import DataError, UsageError, WeightsMissing
from bench.weights import LOCK, fetch, locked, stored, weights_folder
from models.card import Card, HubFile

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def card(weights: object = None, sha256: str = "") -> Card:
    weights = HubFile("someone/toys", "toy.pt", sha256=sha256) if weights is None else weights
    return Card("toy-T", "A toy", "toy", (), weights=weights)  # type: ignore[arg-type]


def copy(card: Card, file: Path, target: Path) -> None:
    target.write_bytes(b"stored:" + file.read_bytes())


def refuse(card: Card, file: Path, target: Path) -> None:
    target.write_bytes(b"half")
    raise DataError("It is another model's.")


# --- a hub and a web server on this machine ------------------------------------------------------


@dataclass
class Site:
    url: str = ""
    content: bytes = CONTENT
    breaks_after: int | None = None
    """Bytes after which the connection ends, once."""
    etag: str = '"one"'
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            asked = self.headers.get("Range")
            site.asked.append((f"{self.command} {self.path}", asked))
            if "toy.pt" not in self.path:
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            if self.headers.get("If-Range", site.etag) != site.etag:
                start = 0
            content = site.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", site.etag)
            self.send_header("X-Repo-Commit", COMMIT)
            if start:
                total = len(site.content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.end_headers()
            if body:
                cut, site.breaks_after = site.breaks_after, None
                self.wfile.write(content[:cut])

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "given.pt"
    path.write_bytes(CONTENT)
    return str(path)


# --- from a file ---------------------------------------------------------------------------------


def test_a_file_is_stored_under_the_models_name_and_pinned(tmp_path: Path, file: str) -> None:
    path = fetch(card(), copy, folder=tmp_path / "w", sources=[file])
    assert path.read_bytes() == b"stored:" + CONTENT
    assert stored("toy-T", tmp_path / "w") == path
    pinned = locked(tmp_path / "w")["toy-T"]
    assert (pinned.sha256, pinned.size, pinned.source) == (DIGEST, len(CONTENT), "given.pt")
    assert Path(file).is_file()


def test_another_file_than_the_pinned_one_is_refused_and_changes_nothing(
    tmp_path: Path, file: str
) -> None:
    fetch(card(), copy, folder=tmp_path / "w", sources=[file])
    Path(file).write_bytes(b"another")
    with pytest.raises(DataError, match=r"given\.pt is not the file of toy-T that .* has pinned"):
        fetch(card(), copy, folder=tmp_path / "w", sources=[file], again=True)
    assert (tmp_path / "w/toy-T.safetensors").read_bytes() == b"stored:" + CONTENT
    assert locked(tmp_path / "w")["toy-T"].sha256 == DIGEST


def test_a_cards_own_sha256_counts_from_the_first_fetch(tmp_path: Path, file: str) -> None:
    with pytest.raises(DataError, match="its card states"):
        fetch(card(sha256="0" * 64), copy, folder=tmp_path / "w", sources=[file])
    fetch(card(sha256=DIGEST), copy, folder=tmp_path / "w", sources=[file])


def test_nothing_is_stored_or_pinned_when_the_file_is_not_the_models(
    tmp_path: Path, file: str
) -> None:
    with pytest.raises(DataError, match="another model's"):
        fetch(card(), refuse, folder=tmp_path / "w", sources=[file])
    assert stored("toy-T", tmp_path / "w") is None
    assert locked(tmp_path / "w") == {}


def test_what_is_there_is_not_fetched_again(tmp_path: Path, file: str) -> None:
    fetch(card(), copy, folder=tmp_path / "w", sources=[file])
    Path(file).unlink()
    assert fetch(card(), refuse, folder=tmp_path / "w", sources=[file]).is_file()


def test_entries_of_other_models_stay(tmp_path: Path, file: str) -> None:
    (tmp_path / LOCK).write_text(
        json.dumps({"other": {"source": "x", "sha256": "1", "size": 2}}), "utf-8"
    )
    fetch(card(), copy, folder=tmp_path, sources=[file])
    assert {*locked(tmp_path)} == {"other", "toy-T"}


def test_a_broken_lock_file_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("[]")
    with pytest.raises(DataError, match="is no lock file of ours"):
        locked(tmp_path)


def test_a_model_without_a_released_file_needs_a_source(tmp_path: Path) -> None:
    nothing = Card("toy-T", "A toy", "toy", ())
    with pytest.raises(UsageError, match="--from FILE"):
        fetch(nothing, copy, folder=tmp_path)


def test_the_first_source_that_can_be_had_counts(tmp_path: Path, file: str) -> None:
    dead = "http://127.0.0.1:9/toy.pt"
    fetch(card(), copy, folder=tmp_path / "w", sources=["gone.pt", dead, file])
    assert locked(tmp_path / "w")["toy-T"].source == "given.pt"
    with pytest.raises(WeightsMissing, match=r"There is no file gone\.pt.*cannot be had"):
        fetch(card(), copy, folder=tmp_path / "v", sources=["gone.pt", dead])


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, file: str) -> None:
    with pytest.raises(WeightsMissing, match="cannot be stored in"):
        fetch(card(), copy, folder=Path(file) / "w", sources=[file])


# --- from a web server ---------------------------------------------------------------------------


def test_a_download_goes_on_where_it_broke(tmp_path: Path, site: Site) -> None:
    url, site.breaks_after = f"{site.url}/files/toy.pt", 300_000
    path = fetch(card(), copy, folder=tmp_path, sources=[url])
    assert path.read_bytes() == b"stored:" + CONTENT
    assert site.asked[-1] == ("GET /files/toy.pt", "bytes=300000-")
    assert {p.name for p in tmp_path.iterdir()} == {"toy-T.safetensors", LOCK}


# --- from a hub ----------------------------------------------------------------------------------


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", site.url)  # what HF_ENDPOINT sets at the start
    template = site.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return site


def test_a_released_file_comes_from_its_hub_at_the_commit_of_the_day(
    tmp_path: Path, hub: Site
) -> None:
    path = fetch(card(sha256=DIGEST), copy, folder=tmp_path)
    assert path.read_bytes() == b"stored:" + CONTENT
    assert locked(tmp_path)["toy-T"].source == f"someone/toys@{COMMIT}:toy.pt"
    assert {p.name for p in tmp_path.iterdir()} == {"toy-T.safetensors", LOCK}


def test_a_hub_without_the_file_is_told_with_another_way(tmp_path: Path, hub: Site) -> None:
    gone = card(HubFile("someone/toys", "gone.bin"))
    with pytest.raises(WeightsMissing, match=r"gone\.bin cannot be fetched.*--from FILE"):
        fetch(gone, copy, folder=tmp_path)


# --- the command ---------------------------------------------------------------------------------


def test_an_official_file_becomes_a_model_that_needs_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from bench import catalog
    from models.xdecoder.convert import official_state_dict

    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "w"))
    nano = catalog.model("xdecoder-nano").build(seed=4)
    torch.save(official_state_dict(nano), tmp_path / "official.pt")
    command = ["models", "fetch", "xdecoder-nano", "--from", str(tmp_path / "official.pt")]
    result = CliRunner().invoke(build_app(), command)
    assert result.exit_code == 0, result.output
    found = stored("xdecoder-nano", weights_folder())
    assert found is not None
    again = catalog.model(str(found)).build()
    pairs = zip(again.parameters(), nano.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    listed = CliRunner().invoke(build_app(), ["models", "list", "--json"])
    assert "xdecoder-T-novg" in listed.output


def test_an_unknown_model_is_not_fetched() -> None:
    result = CliRunner().invoke(build_app(), ["models", "fetch", "xdecoder-TT"])
    assert result.exit_code == 2
