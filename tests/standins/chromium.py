"""A browser, told what to do over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PATIENCE = 60

# Somebody else's name, for all the browser knows, that leads to loopback.
ELSEWHERE = "elsewhere.test"
HERE = "EXCLUDE 127.0.0.1, EXCLUDE localhost"
RULES = f"MAP {ELSEWHERE} 127.0.0.1, {HERE}, MAP * ~NOTFOUND"
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    f"--host-resolver-rules={RULES}",
    "--remote-debugging-port=0",
]


@contextmanager
def chromium(directory: Path) -> Iterator[str]:
    """A browser whose profile is in *directory*; where its DevTools are."""
    environ = {**os.environ, "HOME": str(directory)}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["chromium", *OPTIONS, f"--user-data-dir={directory}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
            start_new_session=True,
        )
    try:
        yield _devtools(process, directory)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _devtools(process: subprocess.Popen[bytes], directory: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(FileNotFoundError):
            lines = (directory / "DevToolsActivePort").read_text().splitlines()
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    said = (directory / "log").read_text(errors="replace")
    raise AssertionError(f"chromium did not start: {said[-2000:]}")


class Tab:
    """
    One page.

    Attributes:
        complaints: What it logged as errors: of scripts, of the network, or of
            what its policy forbids.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._session: str | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []

    async def open(self) -> None:
        made = await self.call("Target.createBrowserContext", disposeOnDetach=True)
        context = made["browserContextId"]
        target = await self.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setLocaleOverride", locale="en-GB")
        await self.call("Emulation.setTimezoneOverride", timezoneId="UTC")

    async def listen(self) -> None:
        """Take what the browser says, until cancelled."""
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            else:
                self._hear(message["method"], message["params"])

    def _hear(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.complaints.append(details.get("exception", details).get("description"))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.complaints.append(str(told["args"]))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        request = {"id": number, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        await self._socket.send(json.dumps(request))
        async with asyncio.timeout(PATIENCE):
            found = await answer
        assert "error" not in found, f"{method}: {found['error']}"
        return found["result"]  # type: ignore[no-any-return]

    async def look(
        self, *, width: int = 1000, height: int = 900, dark: bool = False
    ) -> None:
        """Be of that size, and of a person who likes it dark and still."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def go(self, url: str) -> None:
        found = await self.call("Page.navigate", url=url)
        assert "errorText" not in found, found

    async def ask(self, script: str) -> Any:
        """What *script* comes to in the page; promises are waited for."""
        found = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait for *condition* to hold in the page."""
        await self.ask(
            "new Promise(done => { const look = () => { let it = false;"
            f" try {{ it = {condition} }} catch {{}}"
            " it ? done() : setTimeout(look, 20) }; look() })"
        )

    async def sees(self, selector: str, pattern: str) -> None:
        """Wait until people read there what *pattern*, of JavaScript, matches."""
        await self.until(
            f"{pattern}.test(document.querySelector({selector!r}).innerText)"
        )

    async def visible(self, selector: str) -> bool:
        """Whether people see it."""
        script = f"document.querySelector({selector!r}).checkVisibility()"
        return bool(await self.ask(script))

    async def text(self, selector: str) -> str:
        """What people read there."""
        return str(await self.ask(f"document.querySelector({selector!r}).innerText"))

    async def press(self, key: str) -> None:
        """A key, as from a keyboard."""
        code = {"Enter": 13, "Tab": 9}[key]
        told = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        entered = {"text": "\r"} if key == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **told, **entered)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    async def screenshot(self) -> bytes:
        """The whole page, as a PNG."""
        sizes = await self.call("Page.getLayoutMetrics")
        clip = {**sizes["cssContentSize"], "x": 0, "y": 0, "scale": 1}
        found = await self.call(
            "Page.captureScreenshot",
            format="png",
            clip=clip,
            captureBeyondViewport=True,
            optimizeForSpeed=False,
        )
        return base64.b64decode(found["data"])


@asynccontextmanager
async def tab(devtools: str) -> AsyncIterator[Tab]:
    """A page of its own in the browser at *devtools*."""
    async with connect(devtools, max_size=None, compression=None) as socket:
        it = Tab(socket)
        listening = asyncio.create_task(it.listen(), name="browser")
        try:
            await it.open()
            yield it
        finally:
            listening.cancel()
            await asyncio.wait({listening})
