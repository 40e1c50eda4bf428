"""A headless Chromium for tests and pictures, driven over its DevTools protocol with tornado's WebSocket client."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless", "--no-first-run", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


class Browser:
    """A running browser. ``page`` opens a window; close it as a context manager."""

    def __init__(self) -> None:
        assert PROGRAM is not None
        self._profile = tempfile.mkdtemp(prefix="tsm-edge-browser-")
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [PROGRAM, *_FLAGS, *sandbox, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self._targets: list[str] = []
        self._sessions: dict[str, list[dict[str, Any]]] = {}
        try:
            self._socket = self.run(self._connect(self._endpoint()))
        except BaseException:
            self.close()
            raise

    def page(self, url: str, width: int = 1280, height: int = 800, *, phone: bool = False) -> Page:
        """Open ``url`` in a window of its own, so that none hides another; its size is in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self._targets.append(target)
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        page.call("Page.navigate", url=url)
        page.wait("location.href !== 'about:blank' && document.readyState !== 'loading'")
        return page

    def close_pages(self) -> None:
        """Close all windows opened so far."""
        while self._targets:
            self.call("Target.closeTarget", targetId=self._targets.pop())

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; events on the way are kept with their session."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        return self.run(self._exchange(message))

    def events(self, session: str) -> list[dict[str, Any]]:
        """Return the events of a window so far."""
        return self._sessions.setdefault(session, [])

    def run(self, task: Any) -> Any:
        """Run one coroutine, 30 seconds at most."""
        return self._loop.run_until_complete(asyncio.wait_for(task, 30))

    def close(self) -> None:
        """End the browser and remove what it has written."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._loop.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _connect(self, url: str) -> Any:
        return await websocket_connect(url, max_message_size=64 << 20)

    async def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        await self._socket.write_message(json.dumps(message))
        while True:
            text = await self._socket.read_message()
            if text is None:
                raise ConnectionError("the browser has gone")
            answer = json.loads(text)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise RuntimeError(f"{message['method']}: {answer['error']['message']}")
                return answer["result"]
            self._sessions.setdefault(answer.get("sessionId", ""), []).append(answer)

    def _endpoint(self) -> str:
        """Return the address that the browser writes into its profile when it is ready."""
        file = Path(self._profile) / "DevToolsActivePort"
        for _ in range(600):
            if file.is_file() and len(lines := file.read_text().splitlines()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if self._process.poll() is not None:
                raise RuntimeError(f"{PROGRAM} ended with status {self._process.returncode}")
            time.sleep(0.05)
        raise TimeoutError(f"{PROGRAM} was not ready within 30 s")


class Page:
    """One window."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol in this window."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 20.0) -> Any:
        """Wait until the expression is true and return its value."""
        deadline = time.monotonic() + timeout_s
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still not true: {expression}")
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG file, or a JPEG file if ``path`` ends in .jpg."""
        how = {"format": "jpeg", "quality": 85} if path.suffix == ".jpg" else {"format": "png"}
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, **how)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Return what the page threw and what the browser refused it, such as a breach of its content policy."""
        self.evaluate("1")  # so that the events so far have been read
        found = []
        for event in self._browser.events(self._session):
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["source"] != "network":
                found.append(event["params"]["entry"]["text"])
        return found
