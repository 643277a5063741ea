"""A server on this machine: of files, where it can break off, and of what Roboflow's API says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "aKeyOfATest"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Site:
    """What is served, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """By path, with its slash."""
    etags: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Callable[[], tuple[int, object]]] = field(default_factory=dict)
    """JSON by path: status and content."""
    breaks_after: int | None = None
    """Bytes after which the connection ends, once."""
    keeps_going_on: bool = True
    """Whether parts of files can be asked for."""
    hangs_after: int | None = None
    """Bytes after which nothing more comes, once; `hanging` is set then."""
    hanging: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            site.asked.append(f"{self.command} {path}")
            if path in site.answers:
                query = parse_qs(urlsplit(self.path).query)
                if query.get("api_key") != [KEY]:
                    return self.say(401, {"error": {"message": "This API key does not exist"}})
                return self.say(*site.answers[path]())
            if path not in site.files:
                return self.say(404, {"error": {"message": "not here"}})
            return self.send_file(path)

        do_POST = do_HEAD = do_GET  # noqa: N815

        def say(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def send_file(self, path: str) -> None:
            whole, etag = site.files[path], site.etags.get(path, '"one"')
            wanted = self.headers.get("Range") if site.keeps_going_on else None
            site.ranges.append(self.headers.get("Range"))
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            if self.headers.get("If-Range", etag) != etag:
                start = 0
            if start >= len(whole) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(whole)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = whole[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", site.types.get(path, "application/zip"))
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", etag)
            self.send_header("X-Repo-Commit", COMMIT)  # as the Hugging Face hub does
            if start:
                end = len(whole) - 1
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(whole)}")
            self.end_headers()
            if self.command == "HEAD":
                return
            if site.hangs_after is not None:
                self.wfile.write(body[: site.hangs_after])
                self.wfile.flush()
                site.hangs_after = None
                site.hanging.set()
                site.ended.wait(60)
                return
            if site.breaks_after is not None:
                body, site.breaks_after = body[: site.breaks_after], None
                self.wfile.write(body)
                self.wfile.flush()
                self.connection.close()
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a connection that the test broke
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        site.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def offer_export(
    site: Site,
    project: str,
    content: bytes,
    versions: dict[int, dict[str, int]],
    *,
    waits: int = 1,
) -> None:
    """Have the site offer a project `workspace/name` as Roboflow does.

    `waits` answers say that the export is not ready yet.
    """
    workspace = project.partition("/")[0]
    rows = [
        {
            "id": f"{project}/{n}", "name": f"v{n}", "created": 1.0, "images": sum(parts.values()),
            "splits": parts, "augmentation": {}, "preprocessing": {}, "exports": [], "model": None,
        }
        for n, parts in versions.items()
    ]  # fmt: skip
    about = {
        "id": project, "name": "A project", "type": "instance-segmentation", "annotation": "thing",
        "classes": {}, "colors": {}, "created": 1.0, "updated": 2.0, "images": 1, "public": True,
        "splits": {}, "unannotated": 0,
    }  # fmt: skip
    site.answers["/"] = lambda: (200, {"workspace": workspace, "welcome": "hello"})
    site.answers[f"/{project}"] = lambda: (200, {"project": about, "versions": rows})
    for row in rows:
        left = [waits]
        site.answers[f"/{row['id']}"] = lambda row=row: (
            200,
            {"version": {**row, "generating": False, "progress": 1}},
        )

        def exported(left: list[int] = left, id: str = str(row["id"])) -> tuple[int, object]:
            left[0] -= 1
            if left[0] >= 0:
                return 202, {"progress": 0.5}
            link = f"{site.url}/exports/{id}.zip?signature=secret"
            return 200, {"export": {"format": "coco-segmentation", "link": link}}

        site.answers[f"/{row['id']}/coco-segmentation"] = exported
        site.files[f"/exports/{row['id']}.zip"] = content
