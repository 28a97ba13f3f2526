"""Backends of a port that come and go by their addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..config import Endpoint
from .backend import Backend
from .port import Port

__all__ = ["Pool"]


class Pool:
    """Pool of the backends of *port*; connections of those that leave live on."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self._backends: dict[Endpoint, Backend] = {}
        self._leaving: dict[Endpoint, asyncio.Task[None]] = {}

    def serve(self, endpoints: Sequence[Endpoint]) -> bool:
        """
        Give new connections to exactly *endpoints*; return whether that is a change.
        """
        if list(endpoints) == [each.endpoint for each in self.port.serving]:
            return False
        for endpoint in endpoints:
            if leaving := self._leaving.pop(endpoint, None):
                leaving.cancel()
            if endpoint not in self._backends:
                self._backends[endpoint] = self.port.add(endpoint, serving=False)
        self.port.serve([self._backends[endpoint] for endpoint in endpoints])
        for endpoint in self._backends.keys() - {*endpoints, *self._leaving}:
            self._leaving[endpoint] = asyncio.create_task(
                self._leave(endpoint), name=f"leaving of {endpoint}"
            )
        return True

    async def _leave(self, endpoint: Endpoint) -> None:
        backend = self._backends[endpoint]
        await backend.drain(None)
        del self._backends[endpoint], self._leaving[endpoint]
        await backend.remove()

    async def stop(self) -> None:
        """Wait for no connection any more."""
        leaving = list(self._leaving.values())
        for task in leaving:
            task.cancel()
        if leaving:
            await asyncio.wait(leaving)
