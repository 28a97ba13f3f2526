"""Random lives of a connection: what each end does, and what must come of it."""

from __future__ import annotations

import random
import select
import socket
import time
from dataclasses import dataclass, field

from tests.eventually import DEADLINE
from tests.standins.plane import reset

SIZES = (1, 7, 100, 1448, 4096, 65535, 65536, 65537, 200_000)
ACTIONS = ("send", "send", "send", "send", "pause", "stall", "finish", "reset")
LULL = 0.001  # seconds without an event after which nothing is on its way
LARGE = 1_000_000


@dataclass
class End:
    """
    One end of the connection, and what it has done and seen.

    Attributes:
        stalled: It does not read for the time being.

        how: What its stream ended with: `end`, `reset`, or "" so far.
    """

    sock: socket.socket
    sent: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    stalled: bool = False
    finished: bool = False
    how: str = ""

    @property
    def progress(self) -> tuple[int, int, str]:
        return len(self.unsent), len(self.received), self.how

    def __repr__(self) -> str:
        amounts = f"{len(self.sent)} sent, {len(self.unsent)} not yet"
        return f"<{amounts}, {len(self.received)} received, {self.how or 'open'}>"


@dataclass(frozen=True)
class Step:
    """Something that *who* (0: client, 1: server) does."""

    who: int
    action: str
    size: int = 0


def schedule(seed: int) -> list[Step]:
    """Steps that end with both streams finished, or with a reset."""
    chance = random.Random(seed)
    steps: list[Step] = []
    finished = [False, False]
    while not all(finished) and len(steps) < 40:
        who, action = chance.randrange(2), chance.choice(ACTIONS)
        if action == "reset" and chance.random() < 0.6:
            continue
        if finished[who] and action in ("send", "finish"):
            continue
        finished[who] |= action == "finish"
        large = chance.random() < 0.02
        steps.append(Step(who, action, LARGE if large else chance.choice(SIZES)))
        if action == "reset":
            return steps
    return steps + [Step(who, "finish") for who in range(2) if not finished[who]]


class Life:
    """Plays a schedule on two sockets that are connected through a relay."""

    def __init__(self, client: socket.socket, server: socket.socket, seed: int) -> None:
        self.ends = (End(client), End(server))
        self._chance = random.Random(-seed)
        self.resetter: int | None = None
        for end in self.ends:
            end.sock.setblocking(False)

    def play(self, steps: list[Step]) -> None:
        """All of it; the sockets are closed afterwards."""
        for step in steps:
            getattr(self, f"_{step.action}")(step.who, step.size)
        for end in self.ends:
            end.sock.close()

    def _send(self, who: int, size: int) -> None:
        piece = self._chance.randbytes(size)
        self.ends[who].sent += piece
        self.ends[who].unsent += piece
        self._turn(0)

    def _pause(self, who: int, size: int) -> None:
        """Let arrive what is on its way: events that are apart are of the schedule."""
        before: object = None
        while before != (now := [each.progress for each in self.ends]):
            self._turn(LULL)
            before = now

    def _stall(self, who: int, size: int) -> None:
        self.ends[who].stalled = not self.ends[who].stalled

    def _finish(self, who: int, size: int) -> None:
        end, peer = self.ends[who], self.ends[1 - who]
        self._until(lambda: not end.unsent)
        end.sock.shutdown(socket.SHUT_WR)
        end.finished = True
        self._until(lambda: peer.how == "end")

    def _reset(self, who: int, size: int) -> None:
        end, peer = self.ends[who], self.ends[1 - who]
        reset(end.sock)
        self.resetter = who
        if end.finished:
            self._until(lambda: _broken(peer.sock))
        else:
            self._until(lambda: peer.how == "reset")

    def _until(self, condition: object) -> None:
        for end in self.ends:
            end.stalled = False
        deadline = time.monotonic() + DEADLINE
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"the relay stalls: {self.ends}"
            self._turn(0.05)

    def _turn(self, seconds: float) -> None:
        """Send and receive what can be."""
        poller = select.poll()
        by_fd = {end.sock.fileno(): end for end in self.ends if end.sock.fileno() >= 0}
        for fd, end in by_fd.items():
            reading = select.POLLIN * (not end.stalled and not end.how)
            poller.register(fd, reading | select.POLLOUT * bool(end.unsent))
        for fd, _ in poller.poll(seconds * 1000):
            _exchange(by_fd[fd])


def _broken(sock: socket.socket) -> bool:
    """Whether it was reset; its stream may have ended in order before."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def _exchange(end: End) -> None:
    try:
        if end.unsent and end.how != "reset":
            del end.unsent[: end.sock.send(end.unsent)]
    except BlockingIOError:
        pass
    except ConnectionError:
        # The error is told once: recv would only see an end.
        end.unsent.clear()
        _drain(end)
        end.how = "reset"
    if not end.stalled and not end.how:
        _drain(end)


def _drain(end: End) -> None:
    try:
        while piece := end.sock.recv(1 << 18):
            end.received += piece
        end.how = "end"
    except BlockingIOError:
        pass
    except ConnectionError:
        end.how = "reset"
