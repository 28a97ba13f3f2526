"""Signals of the daemon: handlers set an event and return."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Self

STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
RESTART = (signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """
    The handlers of signals, installed while entered.

    Attributes:
        stop: Set by SIGTERM, SIGINT or SIGQUIT; `reason` says which.

        obeyed: Set once the work has been cancelled for `stop`; not by a signal.

        hurry: Set by the second of these: what still drains may be killed.

        restart: Called for SIGHUP and SIGUSR1; ignores them until `on_restart`.

        kill: Kills whatever dewy supervises, by `on_kill`; for a stop that does not
            end, and not called by a signal. Any thread may call it.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.obeyed = asyncio.Event()
        self.hurry = asyncio.Event()
        self.reason = ""
        self.restart: Callable[[], None] = _ignore
        self.kill: Callable[[], None] = _ignore

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in STOP:
            loop.add_signal_handler(number, self._stop, number)
        for number in RESTART:
            loop.add_signal_handler(number, self._restart)
        return self

    def __exit__(self, *exc_info: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (*STOP, *RESTART):
            with suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.reason = self.reason or number.name
        self.stop.set()

    def on_restart(self, restart: Callable[[], None]) -> None:
        """Call *restart* for SIGHUP and SIGUSR1 from now on."""
        self.restart = restart

    def on_kill(self, kill: Callable[[], None]) -> None:
        """Call *kill* for whatever dewy supervises from now on."""
        self.kill = kill

    def _restart(self) -> None:
        self.restart()


def _ignore() -> None:
    """Ignore the signal: nothing runs yet that could be restarted."""
