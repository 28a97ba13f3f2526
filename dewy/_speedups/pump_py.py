"""
Transfer of bytes between two sockets: the part of the twin that must lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .endpoint_py import PeerSocket

__all__ = ["BUDGET", "CALLS", "SCRATCH", "Pump"]

SCRATCH = 65536  # bytes read at once, and the most that is kept for a slow sink
BUDGET = 4 * SCRATCH  # bytes a direction may move before others get their turn
CALLS = 16  # … or reads


class Pump:
    """
    Flow from *source* to *sink*.

    Args:
        count: Called with the number of bytes that the sink took.

    Attributes:
        ended: Whether the source's end of stream was read.

        finished: Whether the end was passed on to the sink.

        moved: Whether a byte of the source has been read.

        void: Whether the sink is gone, so that what is read is thrown away.
    """

    __slots__ = (
        "_count",
        "_pending",
        "ended",
        "finished",
        "moved",
        "sink",
        "source",
        "void",
    )

    def __init__(
        self, source: PeerSocket, sink: PeerSocket, count: Callable[[int], None]
    ) -> None:
        self.source = source
        self.sink = sink
        self.ended = self.finished = self.moved = self.void = False
        self._count = count
        self._pending = memoryview(b"")

    @property
    def held(self) -> int:
        """Bytes that the sink has not taken yet."""
        return len(self._pending)

    @property
    def done(self) -> bool:
        """Whether the stream has ended, and all of it was passed on."""
        return self.ended and not self._pending

    @property
    def wants(self) -> bool:
        """
        Whether there is room for more: a slow sink holds its source back.
        """
        return not (self.ended or self._pending)

    def move(self, scratch: bytearray) -> bool:
        """
        Move what can be moved, for as long as is fair.

        Return whether that was all, rather than what is fair.
        """
        budget = BUDGET
        for _ in range(CALLS):
            count = self._read(scratch)
            budget -= count
            if count == 0:
                return True
            if budget <= 0:
                break
        return False

    def rescue(self, scratch: bytearray) -> None:
        """Pass on what the broken source had sent, if the sink takes it."""
        while self._read(scratch):
            pass

    def forsake(self) -> None:
        """Note that the sink is gone."""
        self.void = True
        self._pending = memoryview(b"")

    def _read(self, scratch: bytearray) -> int:
        """
        Return the bytes read and passed on; 0 without any, or without room for them.
        """
        self._pending = self._write(self._pending)
        if not self.wants:
            return 0
        count = self.source.recv_into(scratch)
        if count is None:
            return 0
        self.ended = count == 0
        if count:
            self.moved = True
            rest = self._write(memoryview(scratch)[:count])
            if rest:
                # Only what the sink refuses is copied: the buffer is shared by all.
                self._pending = memoryview(bytes(rest))
        return count

    def _write(self, data: memoryview) -> memoryview:
        if self.void:
            return data[:0]
        while data:
            taken = self.sink.send(data)
            if not taken:
                break
            self._count(taken)
            data = data[taken:]
        return data
