"""A headless Chromium, spoken to over two pipes in the DevTools protocol: no port, no package.

`--remote-debugging-pipe` reads commands from descriptor 3 and writes answers to descriptor 4, one
JSON value each, ended by a zero byte.
"""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

PATIENCE = 120.0
"""Seconds to wait for an answer: a loaded machine is not a failing test."""


def installed() -> str | None:
    """The browser on this machine, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Chromium:
    """One browser with one tab."""

    def __init__(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self._width, self._height, self._dark = width, height, dark
        self._number = 0
        self.events: list[dict[str, Any]] = []
        """What the browser said unasked, in order."""

    def __enter__(self) -> "Chromium":
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        program = installed()
        assert program is not None
        words = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
            *("--hide-scrollbars", f"--user-data-dir={self._profile.name}"),
            *("--remote-debugging-pipe", f"--window-size={self._width},{self._height}"),
            "about:blank",
        ]
        # The pipes must be 3 and 4 there, whatever they are here.
        script = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._pending = b""
        self._session: str | None = None
        tabs = self.ask("Target.getTargets")["targetInfos"]
        tab = next(tab for tab in tabs if tab["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=tab["targetId"], flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        scheme = "dark" if self._dark else "light"
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=self._width,
            height=self._height,
            deviceScaleFactor=1,
            mobile=self._width < 600,
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._session = None
            self.ask("Browser.close")
            self._process.wait(20)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._in)
            os.close(self._out)
            self._profile.cleanup()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise OSError("the browser is gone")
            self._pending += part
        message, _, self._pending = self._pending.partition(b"\0")
        return json.loads(message)

    def open(self, address: str) -> None:
        """Show a page, and wait until it is loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of an expression in the page; what it promises is awaited."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release a key, as a person does; `code` is its virtual key code."""
        parts = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **parts, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **parts)

    def complaints(self) -> list[str]:
        """Errors, warnings and what the page's policy refused, so far."""
        self.run("new Promise((done) => setTimeout(done, 50))")
        found = []
        for event in self.events:
            content = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(content["exceptionDetails"]))
            elif event.get("method") == "Log.entryAdded":
                found.append(content["entry"]["text"])
            elif event.get("method") == "Runtime.consoleAPICalled":
                found.append(str(content["args"]))
        return found

    def requests(self) -> list[str]:
        """The addresses that were loaded since `open`, without those inside the page."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        addresses = [content["request"]["url"] for content in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot; `whole` has all that would be scrolled to."""
        content = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(b64decode(content))

    def print(self, path: Path) -> None:
        """The page on paper, as PDF."""
        path.write_bytes(b64decode(self.ask("Page.printToPDF")["data"]))
