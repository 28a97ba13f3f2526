"""A real dewy in a process of its own, with a root and a registry of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dewy.admin.client import NotRunning, ask
from dewy.deploy.history import History
from tests.eventually import DEADLINE, eventually
from tests.standins import programs

Status = dict[str, Any]


@dataclass
class Dewy:
    """
    `dewy COMMAND …` in *root*, polling *registry* each tenth of a second.

    Its log goes to `dewy.log` beside the root. Leaving it sends SIGTERM and
    waits; `kill` is for the impatient.

    Attributes:
        options: Further options, before the program.

        variables: Added to its environment.

        passed: Descriptors it inherits.

        within: Seconds to wait for what it is to do.
    """

    base: Path
    port: int = 0
    command: str = "server"
    program: Sequence[str] = programs.COMMAND
    options: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)
    registry_url: str = ""
    passed: Sequence[int] = ()
    within: float = DEADLINE
    process: Process | None = None

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def registry(self) -> Path:
        return self.base / "registry"

    @property
    def log(self) -> str:
        return (self.base / "dewy.log").read_text(errors="replace")

    def publish(self, version: str, program: str | None = None) -> None:
        """Publish a version of the web program, or of another *program*."""
        content = programs.files(version, program)
        programs.publish(self.registry, version, programs.tarball(content))

    def arguments(self) -> list[str]:
        # The ports of containers have no address.
        where = "" if self.command == "container" else "127.0.0.1:"
        ports = ["--port", f"{where}{self.port}"] if self.port else []
        after = ["--", *self.program] if self.command == "server" else []
        return [
            *(sys.executable, "-m", "dewy", self.command),
            *("--registry", self.registry_url or f"file://{self.registry}"),
            *("--interval", "100ms", "--admin-port", "0"),
            *(*ports, *self.options, *after),
        ]

    async def start(self, *, publishes: bool = True) -> Self:
        """Start it; returns before it is up. The registry is made if it *publishes*."""
        self.root.mkdir(exist_ok=True)
        if publishes:
            self.registry.mkdir(exist_ok=True)
        with (self.base / "dewy.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments(),
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": os.getcwd(), **self.variables},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.passed,
            )
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def stop(self) -> int:
        """SIGTERM, and its exit status."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """SIGKILL: no goodbye."""
        return await self._end(signal.SIGKILL)

    async def exit_status(self) -> int:
        """Wait until it ends by itself."""
        assert self.process is not None
        try:
            async with asyncio.timeout(60):
                return await self.process.wait()
        except TimeoutError:
            # The loop of the test would wait for it at its end, for ever.
            self.process.kill()
            await self.process.wait()
            raise

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def _end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.exit_status()

    async def ask(self, verb: str, **args: object) -> Status:
        """One request through its control socket."""
        return await ask(self.root / ".dewy", verb, 60, **args)

    async def until(self, met: Callable[[Status], object]) -> Status:
        """The first status for which *met* holds; fails if dewy ends before."""
        found: Status = {}

        async def look() -> bool:
            nonlocal found
            assert self.process is not None
            assert self.process.returncode is None, self.log
            try:
                found = await self.ask("status")
            except NotRunning:
                return False
            return bool(met(found))

        try:
            await eventually(look, self.within)
        except TimeoutError:
            raise AssertionError(f"last status {found}\n{self.log}") from None
        return found

    async def polls(self, times: int = 3) -> None:
        """Let it ask its registry some more times."""
        for _ in range(times):
            last = (await self.until(lambda now: now["last_poll"]))["last_poll"]
            await self.until(lambda now, last=last: now["last_poll"] > last)

    async def runs(self, version: str) -> Status:
        """Wait until *version* runs, alone."""
        wanted = ["serving"] if self.command == "server" else []
        return await self.until(
            lambda status: (
                (status["running"] or {}).get("tag") == version
                and wanted == [each["state"] for each in status["generations"]]
            )
        )

    async def deploys(self, version: str) -> Status:
        """Wait until *version* runs and its deployment is a row of the history."""
        await self.runs(version)
        return await self.until(lambda status: status["running"]["ended"])

    async def refuses(self, version: str) -> str:
        """Wait until *version* is in quarantine; why."""
        status = await self.until(
            lambda status: version in [q["tag"] for q in status["quarantine"]]
        )
        reasons = {q["tag"]: q["reason"] for q in status["quarantine"]}
        return str(reasons[version])

    async def fails(self, phrase: str, at: str = "fetch") -> Status:
        """Wait until a deployment failed at step *at* for what *phrase* tells."""

        async def recorded() -> bool:
            records = await asyncio.to_thread(History(self.root / ".dewy").read)
            return any(
                ("failed", at) == (last.outcome, last.step) and phrase in last.reason
                for last in records[-1:]
            )

        await eventually(recorded, self.within)
        status = await self.until(lambda now: phrase in now["last_error"])
        assert 1 == len(status["last_error"].splitlines())
        return status

    async def fetch(self, path: str = "/") -> str:
        """The body of one answer on a new connection."""
        return await programs.answer(self.port, path)
