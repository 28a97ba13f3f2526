"""Suspension of new connections for a while; open ones go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

__all__ = ["Pausing"]

log = logging.getLogger(__name__)


class Pausable(Protocol):
    """A port, or what stands for several."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Pausing:
    """
    Pause of *ports*, all together.

    Attributes:
        paused: Whether new connections wait in the kernel's backlog.

        until: Time at which the pause ends by itself, by the loop's clock; None if
            never.
    """

    def __init__(self, ports: Sequence[Pausable]) -> None:
        self._ports = ports
        self._timer: asyncio.TimerHandle | None = None
        self.paused = False
        self.until: float | None = None

    def pause(self, seconds: float | None = None) -> None:
        """Let new connections wait: until `resume`, or for *seconds* from now."""
        self._forget_timer()
        if not self.paused:
            self.paused = True
            for port in self._ports:
                port.pause()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self.until = loop.time() + seconds
            self._timer = loop.call_later(seconds, self.resume)

    def resume(self) -> None:
        """Accept again, the waiting connections first."""
        self._forget_timer()
        if self.paused:
            self.paused = False
            for port in self._ports:
                port.resume()

    def begin(self, seconds: float | None) -> str:
        """Pause as asked for by an operator; return the sentence for them."""
        self.pause(None if seconds is None else float(seconds))
        until = "until `dewy resume`" if seconds is None else f"for {seconds:g} s"
        return f"new connections wait {until}"

    def end(self) -> str:
        """Resume as asked for by an operator; return the sentence for them."""
        was = self.paused
        self.resume()
        return "connections are taken again" if was else "was not paused"

    def leave(self) -> None:
        """
        Prevent `resume`, leaving waiting connections to the next dewy, if any.
        """
        self._forget_timer()

    def _forget_timer(self) -> None:
        self.until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
