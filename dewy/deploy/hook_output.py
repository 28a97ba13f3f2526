"""The end of what a hook writes, and draining of what it leaves running."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Self

KEPT = 64 * 1024
PAUSE = 0.05
"""Seconds between two reads once the hook has ended."""


class HookOutput:
    """
    A pipe that is drained on the running loop; the last `KEPT` bytes are kept.

    A process that a hook leaves running may hold it for ever. Once this is left,
    what comes is read slowly and thrown away, so that such a process neither
    fills a disk, nor blocks, nor keeps dewy busy; it ends with the last writer.

    Attributes:
        writer: The descriptor to write to, until this is left or `hand_over`.

    Raises:
        OSError: the process has no descriptor left.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._tail = bytearray()
        self._over = False

    def __enter__(self) -> Self:
        self._loop.add_reader(self._reader, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hand_over()
        self._over = True

    def hand_over(self) -> None:
        """Let only the children write; idempotent."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def text(self) -> str:
        """Return the end of what has been written so far, trimmed."""
        while self._reader >= 0 and self._read():
            pass
        return self._tail.decode(errors="replace").strip()

    def _read(self) -> bool:
        """Read once; whether there was anything."""
        try:
            data = os.read(self._reader, KEPT)
        except BlockingIOError:
            return False
        if not data:
            self._close()
        elif self._over:
            self._rest()
        else:
            self._tail += data
            del self._tail[:-KEPT]
        return bool(data)

    def _rest(self) -> None:
        self._loop.remove_reader(self._reader)
        self._loop.call_later(PAUSE, self._loop.add_reader, self._reader, self._read)

    def _close(self) -> None:
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        self._reader = -1
