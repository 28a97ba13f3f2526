"""Showing how far a download is: a line on a terminal, else lines in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ..artifacts import Progress
from ..release import Release

log = logging.getLogger(__name__)

REDRAW = 0.1
"""Seconds between two drawings of the line."""

REFRESH = 0.5
"""Seconds between two notes of how far it is, for `dewy status`."""

WIDTH = 30

Tell = Callable[[str, str, bool], None]


class ProgressReporter:
    """
    The display of downloads' progress, one at a time or several.

    Attributes:
        fetched: Bytes that have come, of all of them.

        listeners: Each is called with the version, how far it is, and whether that is
            a step worth a line.
    """

    def __init__(self) -> None:
        self.fetched = 0
        self.listeners: list[Tell] = []

    @contextmanager
    def __call__(self, release: Release) -> Iterator[Progress]:
        """Show progress as `shown` does."""
        before = 0

        def count(done: int, total: int | None) -> None:
            nonlocal before
            # A download begun anew counts anew.
            self.fetched += done - before if done >= before else done
            before = done
            progress(done, total)
            advance(done, total)

        advance = self._advance(release.tag)
        with shown(release) as progress:
            yield count

    def _advance(self, tag: str) -> Progress:
        """Return what tells how far *tag* is, now and then."""
        due, tenths = 0.0, 0

        def advance(done: int, total: int | None) -> None:
            nonlocal due, tenths
            reached = done * 10 // total if total else 0
            news = reached > tenths and done != total
            if news or time.monotonic() >= due:
                due, tenths = time.monotonic() + REFRESH, reached
                for tell in self.listeners:
                    tell(tag, f"fetching {tag}: {amount(done, total)}", news)

        return advance


@contextmanager
def shown(release: Release) -> Iterator[Progress]:
    """Show the fetching of *release* for as long as the block lasts."""
    if sys.stderr is not None and sys.stderr.isatty():
        with bar(release.file, sys.stderr) as progress:
            yield progress
    else:
        yield steps(release.file)


@contextmanager
def bar(
    name: str, stream: TextIO, now: Callable[[], float] = time.monotonic
) -> Iterator[Progress]:
    """Keep one line on *stream* up to date, and wipe it out in the end."""
    due = now()

    def draw(done: int, total: int | None) -> None:
        nonlocal due
        if now() >= due:
            due = now() + REDRAW
            stream.write(f"\r\x1b[K{line(name, done, total)}")
            stream.flush()

    try:
        yield draw
    finally:
        stream.write("\r\x1b[K")
        stream.flush()


def line(name: str, done: int, total: int | None) -> str:
    """
    Return the text of the bar.

    >>> line("app.tgz", 15 << 20, 30 << 20)
    'app.tgz [###############---------------]  50% 15.0 of 30.0 MiB'
    """
    if not total:
        return f"{name} {done / 2**20:.1f} MiB"
    part = min(done / total, 1.0)
    marks = "#" * int(part * WIDTH)
    return (
        f"{name} [{marks:-<{WIDTH}}] {part:4.0%} "
        f"{done / 2**20:.1f} of {total / 2**20:.1f} MiB"
    )


def amount(done: int, total: int | None) -> str:
    """
    Return how much there is of how much.

    >>> amount(15 << 20, 30 << 20)
    '15.0 of 30.0 MiB (50%)'
    """
    if not total:
        return f"{done / 2**20:.1f} MiB"
    part = min(done / total, 1.0)
    return f"{done / 2**20:.1f} of {total / 2**20:.1f} MiB ({part:.0%})"


def steps(name: str) -> Progress:
    """Log every tenth of the way."""
    reached = 0

    def note(done: int, total: int | None) -> None:
        nonlocal reached
        tenths = done * 10 // total if total else 0
        if tenths > reached:
            reached = tenths
            log.debug("Fetching", extra={"artifact": name, "percent": tenths * 10})

    return note
