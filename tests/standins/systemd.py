"""What systemd is to dewy: who listens for notifications, and who holds its port."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.eventually import eventually
from tests.standins.site import Dewy

# Between fork and exec; with systemd the descriptors start at 3.
ACTIVATE = """
import os, sys
_, passed, *command = sys.argv
os.dup2(int(passed), 3)
os.environ |= {
    "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"
}
os.execv(command[0], command)
"""


class Manager:
    """
    The receiving end of NOTIFY_SOCKET, at *path*.

    Attributes:
        heard: Every line of every message so far.
    """

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()

    async def hears(self, met: Callable[[list[str]], object]) -> None:
        """Wait until *met* holds for the lines heard."""

        def listen() -> object:
            try:
                while True:
                    self.heard += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return met(self.heard)

        try:
            await eventually(listen)
        except TimeoutError:
            raise AssertionError(f"heard only {self.heard}") from None


class Held(Dewy):
    """A dewy whose port is a socket of the test's, as one of a `.socket` unit."""

    def arguments(self) -> list[str]:
        (held,) = self.passed
        return [sys.executable, "-c", ACTIVATE, str(held), *super().arguments()]


class Activated(Dewy):
    """
    A dewy that `systemd-socket-activate` becomes at the first connection.

    Attributes:
        listen: The address, if it is not that of the port.
    """

    listen = ""

    def arguments(self) -> list[str]:
        listen = self.listen or f"127.0.0.1:{self.port}"
        # It gives no variables away that it was not told to.
        kept = [f"--setenv={name}" for name in ("PYTHONPATH", *self.variables)]
        program = ["systemd-socket-activate", f"--listen={listen}", *kept]
        return [*program, *super().arguments()]

    async def listens(self) -> None:
        """Wait until connections can be made."""
        await eventually(lambda: "Listening on" in self.log)
