"""The demo: deploy, update, and survive a broken version, under load all the time."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
import tarfile
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from .. import loop
from ..admin.client import NotRunning, ask
from ..errors import DewyError
from .load import Load, Tally

CLIENTS = 24
PAUSE = 0.02
WARM = 1.5
PATIENCE = 60.0
LOOK = 0.05

Status = dict[str, Any]


def run() -> int:
    """Run the demo; return 1 if a single request failed or anything else went wrong."""
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="dewy-demo-") as directory:
        base = Path(directory)
        root, registry = base / "root", base / "registry"
        root.mkdir()
        publish(registry, "v1.0.0")
        with (base / "dewy.log").open("w+") as log:
            try:
                return loop.run(_show(root, registry, log, screen))
            except DewyError as exc:
                screen.say(f"the demo failed: {exc}", bad=True)
                log.seek(0)
                screen.say(log.read()[-4000:])
                return 1


async def _show(root: Path, registry: Path, log: TextIO, screen: Screen) -> int:
    port = _free_port()
    screen.say(f"published v1.0.0; dewy server listens on 127.0.0.1:{port}")
    async with _dewy(root, registry, port, log) as process:
        tally, story = await _tell_story(root, registry, port, process, screen)
    screen.table(tally, story)
    return 1 if tally.failures or story.problems else 0


async def _tell_story(
    root: Path,
    registry: Path,
    port: int,
    process: Process,
    screen: Screen,
) -> tuple[Tally, Story]:
    watch = Watch(root, process)
    await watch.until(lambda status: _runs(status) == "v1.0.0", "v1.0.0 to run")
    async with Load(port, CLIENTS, PAUSE) as load, screen.live(load.tally):
        screen.say(f"v1.0.0 runs; {CLIENTS} clients ask without pause")
        await asyncio.sleep(WARM)

        await asyncio.to_thread(publish, registry, "v1.1.0")
        published = time.monotonic()
        screen.say("published v1.1.0")
        await watch.until(lambda status: _runs(status) == "v1.1.0", "v1.1.0 to run")
        await watch.until(_has_one_generation, "v1.0.0 to drain")
        await asyncio.sleep(WARM)
        switch_seconds = load.tally.versions["v1.1.0"].first - published
        screen.say("v1.1.0 runs, v1.0.0 has drained and ended")

        await asyncio.to_thread(publish, registry, "v1.2.0", broken=True)
        screen.say("published v1.2.0, which crashes before it accepts anything")
        status = await watch.until(lambda s: bool(s["quarantine"]), "v1.2.0 to fail")
        verdict = status["quarantine"][-1]["reason"]
        screen.say(f"v1.2.0 refused: {verdict}")
        await asyncio.sleep(WARM)
    runs = _runs(await watch.status()) or "nothing"
    problems = []
    if runs != "v1.1.0":
        problems.append(f"{runs} runs at the end")
    if "v1.2.0" in load.tally.versions:
        problems.append("v1.2.0 answered a request")
    return load.tally, Story(switch_seconds, verdict, runs, problems)


class Watch:
    """Watcher of the dewy of *root* through its control socket."""

    def __init__(self, root: Path, process: Process) -> None:
        self._private = root / ".dewy"
        self._process = process

    async def status(self) -> Status:
        """
        Raises:
            DewyError: dewy does not answer.
        """
        return await ask(self._private, "status")

    async def until(self, met: Callable[[Status], bool], what: str) -> Status:
        """
        Return the first status for which *met* holds.

        Raises:
            DewyError: dewy ended, or the wait took longer than a minute.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        status = await self.status()
                    except NotRunning:
                        status = {}
                    if status and met(status):
                        return status
                    if self._process.returncode is not None:
                        raise DewyError(f"dewy ended: {self._process.returncode}")
                    await asyncio.sleep(LOOK)  # no event tells when a socket answers
        except TimeoutError:
            raise DewyError(f"waited {PATIENCE:g} s for {what}") from None


@asynccontextmanager
async def _dewy(
    root: Path, registry: Path, port: int, log: TextIO
) -> AsyncIterator[Process]:
    """Run `dewy server` in *root* while entered."""
    command = [
        *(sys.executable, "-m", "dewy", "server"),
        *("--registry", f"file://{registry}", "--interval", "1"),
        *("--port", f"127.0.0.1:{port}", "--admin-port", "0"),
        *("--", sys.executable, "current/program.py"),
    ]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DEWY_")}
    clean["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=root, env=clean, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _runs(status: Status) -> str:
    running = status.get("running") or {}
    return str(running.get("tag", ""))


def _has_one_generation(status: Status) -> bool:
    return len(status["generations"]) == 1


PROGRAM = Path(__file__).with_name("program.py")
BROKEN = 'raise SystemExit("demo: this version cannot find its database")\n'
AGED = 10.0


def publish(registry: Path, version: str, *, broken: bool = False) -> None:
    """Publish *version* in *registry* by an atomic move."""
    program = BROKEN if broken else PROGRAM.read_text()
    directory = registry / version
    draft = registry / f".{version}"
    draft.mkdir(parents=True)
    artifact = draft / "demo.tar.gz"
    with tarfile.open(artifact, "w:gz") as archive:
        for name, text in (("program.py", program), ("VERSION", version)):
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    # The move is atomic; the registry need not wait for the file to settle.
    settled = time.time() - AGED
    os.utime(artifact, (settled, settled))
    draft.rename(directory)


@dataclass(frozen=True, slots=True)
class Story:
    """
    Attributes:
        switch_seconds: Seconds from publishing v1.1.0 to its first answer.

        verdict: Reason why v1.2.0 was refused.

        runs: Version that runs at the end.

        problems: Things that should not have happened.
    """

    switch_seconds: float
    verdict: str
    runs: str
    problems: Sequence[str] = ()


REFRESH = 0.1


class Screen:
    """Screen on standard output."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def say(self, text: str, *, bad: bool = False) -> None:
        """Write a line, with the seconds since the beginning."""
        stamp = f"{time.monotonic() - self._begun:6.1f}s  "
        self._clear()
        click.echo(
            click.style(stamp, dim=True) + click.style(text, fg="red" if bad else None)
        )

    @asynccontextmanager
    async def live(self, tally: Tally) -> AsyncIterator[None]:
        """Keep a line with the counters up to date while entered."""
        if not self._terminal:
            yield
            return
        drawing = asyncio.create_task(self._draw(tally), name="screen")
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait({drawing})
            self._clear()

    def table(self, tally: Tally, story: Story) -> None:
        """Write a table of the results."""
        failures = sum(tally.failures.values())
        versions = ", ".join(f"{v} ({s.answers})" for v, s in tally.versions.items())
        rows = [
            ("requests", f"{tally.requests} over {tally.connections} connections"),
            ("failures", _failures(tally)),
            ("versions seen", versions),
            ("time to switch", f"{story.switch_seconds:.1f} s from publishing v1.1.0"),
            ("v1.2.0", f"never took over: {story.verdict}"),
            ("runs at the end", story.runs),
            *(("problem", problem) for problem in story.problems),
        ]
        click.echo()
        for name, value in rows:
            bad = name == "problem" or (name == "failures" and failures)
            colour = "red" if bad else "green" if name == "failures" else None
            click.echo(f"  {name:<16} " + click.style(value, fg=colour))

    async def _draw(self, tally: Tally) -> None:
        before, at = tally.requests, time.monotonic()
        while True:
            await asyncio.sleep(REFRESH)
            now = time.monotonic()
            rate = (tally.requests - before) / (now - at)
            before, at = tally.requests, now
            failed = sum(tally.failures.values())
            newest = max(tally.versions.items(), key=lambda v: v[1].last, default=("",))
            click.echo(
                f"\r\033[K  {tally.requests} requests, {failed} failed, "
                f"{rate:.0f}/s, answered by {newest[0]}",
                nl=False,
            )

    def _clear(self) -> None:
        if self._terminal:
            click.echo("\r\033[K", nl=False)


def _failures(tally: Tally) -> str:
    if not tally.failures:
        return "0"
    kinds = ", ".join(f"{count} {name}" for name, count in tally.failures.items())
    return f"{sum(tally.failures.values())} ({kinds})"
