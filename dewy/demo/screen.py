"""Display of the demo: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from .load import Tally
from .story import Story

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
