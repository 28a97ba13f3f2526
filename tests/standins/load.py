"""Load on a port from a process of its own, and what its clients met with."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.standins.clients import Report

PATIENCE = 60.0
LIMIT = 600.0
LONGEST_LINE = 1 << 20


class Load:
    """
    New connections to *port* at *rate* a second while entered, and *kept* clients,
    all of which ask for *path*.

    Entering returns when the first have been answered. The load ends by itself
    after ten minutes, whatever becomes of the test.

    Attributes:
        clients: The module that is run.

        report: What is known so far; all of it after leaving.
    """

    clients = "tests.standins.clients"

    def __init__(self, port: int, *, rate: float, kept: int, path: str = "/") -> None:
        self.report = Report()
        self._options = {
            "port": port,
            "rate": rate,
            "kept": kept,
            "path": path,
            "limit": LIMIT,
        }
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        options = [f"--{name}={value}" for name, value in self._options.items()]
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.clients, *options),
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            stdout=PIPE,
            limit=LONGEST_LINE,
        )
        self._reading = asyncio.create_task(self._read(), name="load reports")
        self._reading.add_done_callback(lambda _: self._changed.set())
        await self.until(lambda report: report.answers)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._process is not None
        assert self._reading is not None
        with suppress(ProcessLookupError):
            self._process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await self._process.wait() == 0
            await self._reading

    async def until(self, met: Callable[[Report], object]) -> None:
        """Wait for a report for which *met* holds."""
        assert self._reading is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while not met(self.report):
                    assert not self._reading.done(), f"load ended: {self.report}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"waited in vain, last of {self.report}") from None

    async def goes_on(self, arrivals: int) -> None:
        """Wait for as many more."""
        wanted = self.report.arrivals + arrivals
        await self.until(lambda report: report.arrivals >= wanted)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.report = self._parsed(line)
            self._changed.set()

    def _parsed(self, line: bytes) -> Report:
        return Report(**json.loads(line))
