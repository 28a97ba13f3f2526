"""Suspension of new connections for a while; open ones go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ..proxy import Port

__all__ = ["Pausing"]

log = logging.getLogger(__name__)


class Pausing:
    """
    Pause of *ports*, all together.

    Attributes:
        paused: Whether new connections wait in the kernel's backlog.

        until: Time at which the pause ends by itself, by the loop's clock; None if
            never.
    """

    def __init__(self, ports: Sequence[Port]) -> None:
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
