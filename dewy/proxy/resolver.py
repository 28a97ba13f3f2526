"""Addresses of backends whose hosts have names, and the pool that follows them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

from ..config import BackendAddress, Endpoint, HostName
from ..logs import summary
from .backend import Backend, reachable
from .port import Port

__all__ = [
    "EVERY",
    "Pool",
    "Resolver",
]

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds from one lookup of a name to the next."""

PATIENCE = 5.0

LookUp = Callable[[HostName], Awaitable[list[Endpoint]]]


class Resolver:
    """
    Resolver that keeps the last addresses of a name while it cannot be looked up.

    Args:
        proxy_protocol: Whether backends expect the PROXY protocol first.

        look_up: Returns the addresses of a name; by default, those that the system has.
    """

    def __init__(
        self, *, proxy_protocol: bool = False, look_up: LookUp | None = None
    ) -> None:
        self._proxy_protocol = proxy_protocol
        self._look_up = look_up or _looked_up
        self._known: dict[HostName, list[Endpoint]] = {}
        self._failing: set[HostName] = set()

    async def addresses(self, backends: Iterable[BackendAddress]) -> list[Endpoint]:
        """Return the addresses of *backends* in their order, each of them once."""
        asked = [self._of(each) for each in backends]
        found = await asyncio.gather(*asked)
        return list(dict.fromkeys(each for some in found for each in some))

    def failing(
        self, backends: Iterable[BackendAddress]
    ) -> dict[HostName, list[Endpoint]]:
        """Return the last addresses of those that could not be looked up last."""
        names = (each for each in backends if isinstance(each, HostName))
        return {
            each: self._known.get(each, []) for each in names if each in self._failing
        }

    async def _of(self, backend: BackendAddress) -> list[Endpoint]:
        if isinstance(backend, Endpoint):
            return [backend]
        before = self._known.get(backend, [])
        try:
            found = await self._look_up(backend)
        except OSError as exc:
            self._complain(backend, summary(exc))
            return before
        except UnicodeError:
            self._complain(backend, "it is no name that can be looked up")
            return before
        self._failing.discard(backend)
        chosen = await self._one_family(found, before)
        if set(chosen) != set(before):
            told = ", ".join(map(str, chosen))
            log.info(
                "Looked up backend", extra={"backend": str(backend), "addresses": told}
            )
        self._known[backend] = chosen
        return chosen

    def _complain(self, backend: HostName, error: str) -> None:
        if backend not in self._failing:
            self._failing.add(backend)
            told = {"backend": str(backend), "error": error}
            log.warning("Cannot look up backend", extra=told)

    async def _one_family(
        self, found: list[Endpoint], before: list[Endpoint]
    ) -> list[Endpoint]:
        """
        Return those of *found* in the first family of which one answers.

        A name such as localhost has addresses of both, and its program often listens at
        one of them. While none answers, those of *before* count, or all.
        """
        families = list(dict.fromkeys(each.family for each in found))
        if len(families) == 1:
            return found
        for family in families:
            members = [each for each in found if each.family == family]
            asked = [self._answers(each) for each in members]
            if any(await asyncio.gather(*asked)):
                return members
        return [each for each in before if each in found] or found

    async def _answers(self, endpoint: Endpoint) -> bool:
        return bool(await reachable(endpoint, proxy_protocol=self._proxy_protocol))


async def _looked_up(backend: HostName) -> list[Endpoint]:
    async with asyncio.timeout(PATIENCE):
        infos = await asyncio.get_running_loop().getaddrinfo(
            backend.host, backend.port, type=socket.SOCK_STREAM
        )
    hosts = (str(info[4][0]) for info in infos)
    return list(dict.fromkeys(Endpoint(host, backend.port) for host in hosts))


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
