"""
Receiving end of sd_notify(3), to which a supervised program sends READY=1.

Each generation has a socket of its own. On Linux its name is abstract: a random one
fits every address length, and a program that has given up its privileges still reaches
it, which a file in a directory of dewy's would prevent. Such a name is no secret, so
the kernel's credentials of a datagram's sender decide. Elsewhere it is a file in a
private directory, and every process that reaches it is believed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import socket
import struct
import sys
import tempfile
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from ..logs import printable
from ..system import start_time

log = logging.getLogger(__name__)

BATCH = 16
PAUSE = 0.01
SHORT_OF_THREADS = 0.1  # seconds until another thread is asked for
LONGEST = 4096  # systemd takes no longer ones either
MOST_FDS = 253  # SCM_MAX_FD
LONGEST_EXTENSION = 24 * 3600.0
_CREDENTIALS = struct.Struct("3i")
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(MOST_FDS * 4)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_ABSTRACT = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Sender:
    """
    Sender of a datagram, as the kernel states it; pid 0 is outside dewy's namespace.
    """

    pid: int
    uid: int


@dataclass(frozen=True, slots=True)
class Datagram:
    """Datagram with its descriptors; no sender where the kernel does not tell."""

    content: bytes
    sender: Sender | None
    fds: tuple[int, ...]

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


class ReadinessSocket:
    """
    Socket for notifications, from its creation in a running loop to `close`.

    Args:
        belongs: Returns whether a process is of this generation; called in a thread.

        users: Returns the user ids the generation runs under, besides dewy's own;
            called in a thread too.

    A sender that `belongs` is believed. One that has ended meanwhile, as small
    programs that only notify do, cannot be looked up any more: it is believed
    if its user is ours, root, or one of `users`, who could all interfere with
    the generation by other means anyhow. Everybody else is ignored.

    Attributes:
        address: The value for NOTIFY_SOCKET.

        ready: Set by READY=1.

        status: The last STATUS=, printable.

        stopping: Whether STOPPING=1 was sent.

        extended_until: Time until which EXTEND_TIMEOUT_USEC asks to wait, by the loop's
            clock; 0 if it does not.

        watchdog: Time of the last WATCHDOG=1, by the loop's clock; 0 if never.
    """

    def __init__(
        self,
        belongs: Callable[[int], bool],
        users: Callable[[], Collection[int]] = tuple,
    ) -> None:
        self.ready = asyncio.Event()
        self.status = ""
        self.stopping = False
        self.extended_until = 0.0
        self.watchdog = 0.0
        self._belongs = belongs
        self._users = users
        self._loop = asyncio.get_running_loop()
        self._directory = "" if _ABSTRACT else tempfile.mkdtemp(prefix="dewy-")
        self.address = f"{self._directory}/notify" if self._directory else _abstract()
        self._socket = _bound(self.address)
        self._loop.add_reader(self._socket, self._receive)

    def __repr__(self) -> str:
        state = "ready" if self.ready.is_set() else "not ready"
        return f"<ReadinessSocket {state}>"

    def close(self) -> None:
        """Stop listening; idempotent."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _receive(self) -> None:
        """
        Receive some datagrams, and the next only when these have been handled.

        The order is a promise: a program that sends a descriptor with BARRIER=1 takes
        its closing as confirmation that everything before has been seen.
        """
        batch = self._take_batch()
        if not batch:
            return
        self._loop.remove_reader(self._socket)
        self._ask(batch)

    def _ask(self, batch: Sequence[Datagram]) -> None:
        try:
            judging = self._loop.run_in_executor(None, self._judge, batch)
        except RuntimeError:
            # No thread is left, for the moment: READY=1 must not be lost with it.
            self._loop.call_later(SHORT_OF_THREADS, self._ask, batch)
            return
        judging.add_done_callback(partial(self._judged, batch))

    def _take_batch(self) -> list[Datagram]:
        batch: list[Datagram] = []
        try:
            while len(batch) < BATCH:
                batch.append(_take(self._socket))
        except BlockingIOError:
            pass
        except OSError as exc:
            log.debug("Notification not received", extra={"error": str(exc)})
        return batch

    def _judge(self, batch: Sequence[Datagram]) -> dict[Sender | None, bool]:
        return {s: self._believes(s) for s in {each.sender for each in batch}}

    def _judged(
        self,
        batch: Sequence[Datagram],
        judging: asyncio.Future[dict[Sender | None, bool]],
    ) -> None:
        for datagram in batch:
            if self._socket.fileno() < 0:
                pass
            elif judging.result()[datagram.sender]:
                self._apply(parse(datagram.content))
            else:
                log.debug("Notification ignored", extra={"sender": datagram.sender})
            datagram.close()
        # Every user of the host may send here, as fast as they like.
        strange = not all(judging.result().values())
        pause = PAUSE if strange or len(batch) == BATCH else 0.0
        self._loop.call_later(pause, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._receive)

    def _believes(self, sender: Sender | None) -> bool:
        if sender is None:
            return True
        if sender.pid <= 0:
            return False
        if self._belongs(sender.pid):
            return True
        if start_time(sender.pid) is not None:
            return False
        return sender.uid in {0, os.geteuid(), *self._users()}

    def _apply(self, fields: dict[str, str]) -> None:
        if "STATUS" in fields:
            self.status = printable(fields["STATUS"])
        if fields.get("STOPPING") == "1":
            self.stopping = True
        if fields.get("WATCHDOG") == "1":
            self.watchdog = self._loop.time()
        if seconds := _seconds(fields.get("EXTEND_TIMEOUT_USEC", "")):
            self.extended_until = self._loop.time() + seconds
        if fields.get("READY") == "1":
            self.ready.set()


def parse(datagram: bytes) -> dict[str, str]:
    """Return the NAME=value lines of a notification; the last of a name counts."""
    lines = datagram.decode(errors="replace").split("\n")
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, separator, value in pairs if name and separator}


def _seconds(microseconds: str) -> float:
    """Return seconds, at most a day; 0 if *microseconds* is no number."""
    if not (microseconds.isascii() and microseconds.isdigit()):
        return 0.0
    return min(float(microseconds) / 1e6, LONGEST_EXTENSION)


def _bound(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if sys.platform == "linux":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.bind(address.replace("@", "\0", 1) if _ABSTRACT else address)
    except BaseException:
        sock.close()
        raise
    return sock


def _abstract() -> str:
    return f"@dewy/{os.getpid()}/{secrets.token_hex(8)}"


def _take(sock: socket.socket) -> Datagram:
    content, ancillary, flags, _ = sock.recvmsg(LONGEST, _ROOM, _CLOSE_ON_EXEC)
    sender, fds = None, array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        elif level == socket.SOL_SOCKET:
            pid, uid, _ = _CREDENTIALS.unpack(payload)
            sender = Sender(pid, uid)
    truncated = flags & socket.MSG_TRUNC
    return Datagram(b"" if truncated else content, sender, tuple(fds))
