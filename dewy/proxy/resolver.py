"""Lookup of backends with host names, and the pool of backends that follows it."""

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
    "LOOKUP_INTERVAL",
    "Pool",
    "Resolver",
]

log = logging.getLogger(__name__)

LOOKUP_INTERVAL = 10.0
"""Seconds between two lookups of a name."""

LOOKUP_TIMEOUT = 5.0

LookUp = Callable[[HostName], Awaitable[list[Endpoint]]]


class Resolver:
    """
    Resolver of host names, which keeps the last addresses while a lookup fails.

    Args:
        proxy_protocol: Whether backends expect a PROXY protocol header.

        look_up: Returns the addresses of a name; by default, those of `getaddrinfo`.
    """

    def __init__(
        self, *, proxy_protocol: bool = False, look_up: LookUp | None = None
    ) -> None:
        self._proxy_protocol = proxy_protocol
        self._look_up = look_up or _look_up
        self._last: dict[HostName, list[Endpoint]] = {}
        self._failing: set[HostName] = set()

    async def addresses(self, backends: Iterable[BackendAddress]) -> list[Endpoint]:
        """Return the addresses of *backends*, in their order and without repetition."""
        found = await asyncio.gather(*map(self._resolve, backends))
        return list(dict.fromkeys(each for some in found for each in some))

    def failing(
        self, backends: Iterable[BackendAddress]
    ) -> dict[HostName, list[Endpoint]]:
        """Return the names whose latest lookup failed, with their last addresses."""
        names = (each for each in backends if isinstance(each, HostName))
        return {
            each: self._last.get(each, []) for each in names if each in self._failing
        }

    async def _resolve(self, backend: BackendAddress) -> list[Endpoint]:
        if isinstance(backend, Endpoint):
            return [backend]
        before = self._last.get(backend, [])
        try:
            found = await self._look_up(backend)
        except OSError as exc:
            self._log_failure(backend, summary(exc))
            return before
        except UnicodeError:
            self._log_failure(backend, "this is not a valid host name")
            return before
        self._failing.discard(backend)
        chosen = await self._one_family(found, before)
        if set(chosen) != set(before):
            fields = {"backend": str(backend), "addresses": ", ".join(map(str, chosen))}
            log.info("Looked up backend", extra=fields)
        self._last[backend] = chosen
        return chosen

    def _log_failure(self, backend: HostName, error: str) -> None:
        if backend not in self._failing:
            self._failing.add(backend)
            fields = {"backend": str(backend), "error": error}
            log.warning("Cannot look up backend", extra=fields)

    async def _one_family(
        self, found: list[Endpoint], before: list[Endpoint]
    ) -> list[Endpoint]:
        """
        Return the addresses of the first family of which one is reachable.

        A name such as localhost has addresses of both families, of which its program
        often listens at one. While none is reachable, return the addresses from
        *before* that are still *found*, or else all.
        """
        families = list(dict.fromkeys(each.family for each in found))
        if len(families) == 1:
            return found
        for family in families:
            members = [each for each in found if each.family == family]
            if any(await asyncio.gather(*map(self._reachable, members))):
                return members
        return [each for each in before if each in found] or found

    async def _reachable(self, endpoint: Endpoint) -> bool:
        return bool(await reachable(endpoint, proxy_protocol=self._proxy_protocol))


async def _look_up(backend: HostName) -> list[Endpoint]:
    async with asyncio.timeout(LOOKUP_TIMEOUT):
        infos = await asyncio.get_running_loop().getaddrinfo(
            backend.host, backend.port, type=socket.SOCK_STREAM
        )
    hosts = (str(info[4][0]) for info in infos)
    return list(dict.fromkeys(Endpoint(host, backend.port) for host in hosts))


class Pool:
    """Backends of *port* by address; those that leave keep their open connections."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self._backends: dict[Endpoint, Backend] = {}
        self._retiring: dict[Endpoint, asyncio.Task[None]] = {}

    def serve(self, endpoints: Sequence[Endpoint]) -> bool:
        """
        Give new connections to exactly *endpoints*; return whether that is a change.

        The order does not matter, for name servers rotate it.
        """
        if set(endpoints) == {each.endpoint for each in self.port.serving}:
            return False
        for endpoint in endpoints:
            if retirement := self._retiring.pop(endpoint, None):
                retirement.cancel()
            if endpoint not in self._backends:
                self._backends[endpoint] = self.port.add(endpoint, serving=False)
        self.port.serve([self._backends[endpoint] for endpoint in endpoints])
        for endpoint in self._backends.keys() - {*endpoints, *self._retiring}:
            self._retiring[endpoint] = asyncio.create_task(
                self._retire(endpoint), name=f"retirement of {endpoint}"
            )
        return True

    async def _retire(self, endpoint: Endpoint) -> None:
        backend = self._backends[endpoint]
        await backend.drain(None)
        del self._backends[endpoint], self._retiring[endpoint]
        await backend.remove()

    async def stop(self) -> None:
        """Stop waiting for the connections of backends that leave."""
        tasks = list(self._retiring.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
