"""Ports and backends of the proxy alone, as its settings have them at the time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from ..config import Endpoint, HostName, Settings
from ..errors import DewyError
from .backend import Backend, reachable
from .listeners import Offered, Permissions, option_named, taken
from .port import Port
from .proxy import Proxy
from .resolver import EVERY, Pool, Resolver

__all__ = ["Frontend"]

log = logging.getLogger(__name__)


class Frontend:
    """
    Frontend of the proxy alone: what it listens at, and where connections go.

    Attributes:
        settings: Present settings.

        pools: Open ports with their backends, by the addresses that were asked for.

        changed: Set when settings or backends change.

        unhealthy: Backends that an active check found unhealthy.

        paused: Whether new connections wait, those to ports opened later, too.
    """

    def __init__(self, proxy: Proxy, settings: Settings) -> None:
        self.proxy = proxy
        self.settings = settings
        self.pools: dict[Endpoint, Pool] = {}
        self.changed = asyncio.Event()
        self.unhealthy: set[Endpoint] = set()
        self.paused = False
        self._closing: set[asyncio.Task[None]] = set()
        self._resolver = Resolver(proxy_protocol=settings.proxy_protocol == "v2")

    async def open(self, offered: Offered) -> None:
        """
        Open every port that is wanted, or else every socket that was passed.

        Raises:
            DewyError: a port cannot be opened, or no backend has an address.
        """
        wanted = self.settings.listen or [Endpoint.of(sock) for _, sock in offered]
        await self._open(wanted, self.settings, offered)
        self._serve(await self.addresses(self.settings))
        used = [found for each in wanted if (found := taken(each, offered))]
        for name, sock in offered:
            if (name, sock) not in used:
                log.warning("Passed socket is not used", extra={"socket": name})
            sock.close()

    async def apply(self, settings: Settings) -> None:
        """
        Open and close ports, and take in other backends, as *settings* say.

        No open connection ends by it. Ports of passed sockets stay.

        Raises:
            DewyError: a port cannot be opened, the file of one cannot have its
                permissions, or no backend has an address; nothing changed.
        """
        found = await self.addresses(settings)
        wanted = list(settings.listen) or list(self.pools)
        new = [each for each in wanted if each not in self.pools]
        # Clients wait until there are backends.
        try:
            await self._open(new, settings, paused=True)
        except DewyError as exc:
            raise self._explained(exc, new) from exc
        await self._permit(settings, new)
        self.settings = settings
        self.changed.set()
        self._serve(found)
        for endpoint in () if self.paused else new:
            self.pools[endpoint].port.resume()
        for endpoint in [each for each in self.pools if each not in wanted]:
            await self._close(endpoint)

    def pause(self) -> None:
        """Let new connections wait in the kernel's backlog."""
        self.paused = True
        for port in self._accepting():
            port.pause()

    def resume(self) -> None:
        """Accept again, the waiting connections first."""
        self.paused = False
        for port in self._accepting():
            port.resume()

    def _accepting(self) -> list[Port]:
        ports = (pool.port for pool in self.pools.values())
        return [port for port in ports if not port.closed]

    async def resolve(self) -> None:
        """Look up the backends, and let all ports have the present addresses."""
        asked = self.settings.backends
        found = await self._resolver.addresses(asked)
        # Those of a reload meanwhile are known already.
        if asked == self.settings.backends:
            self._serve(found)

    async def addresses(self, settings: Settings) -> list[Endpoint]:
        """
        Return the addresses of the backends of *settings*, at least one.

        Raises:
            DewyError: none can be looked up.
        """
        if found := await self._resolver.addresses(settings.backends):
            return found
        names = ", ".join(map(str, settings.backends))
        raise DewyError(f"no backend can be looked up: {names}")

    def unresolved(self) -> dict[HostName, list[Endpoint]]:
        """Return the last addresses of backends that could not be looked up last."""
        return self._resolver.failing(self.settings.backends)

    def _serve(self, found: list[Endpoint]) -> None:
        for pool in self.pools.values():
            before = {each.endpoint for each in pool.port.serving}
            if pool.serve(found):
                self.changed.set()
                self._put_back(
                    [each for each in pool.port.serving if each.endpoint not in before],
                    beside=bool(before & set(found)),
                )

    def _put_back(self, new: Iterable[Backend], *, beside: bool) -> None:
        """Prefer the others to *new* backends until those have passed a check."""
        if self.settings.health_path and beside:
            for backend in new:
                self.unhealthy.add(backend.endpoint)
                backend.eject()

    async def probe(self, backend: Backend) -> bool | None:
        """Return whether a suspected *backend* may be used again; None if unknown."""
        if backend.endpoint in self.unhealthy:
            return False
        protocol = self.settings.proxy_protocol == "v2"
        return await reachable(backend.endpoint, proxy_protocol=protocol)

    async def keep_resolving(self) -> None:
        """Do so again and again."""
        while True:
            await asyncio.sleep(EVERY)
            await self.resolve()

    async def stop(self) -> None:
        """Wait for none of the connections that are still open."""
        for pool in self.pools.values():
            await pool.stop()
        for task in self._closing:
            task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _open(
        self,
        endpoints: Iterable[Endpoint],
        settings: Settings,
        offered: Offered = (),
        *,
        paused: bool = False,
    ) -> None:
        permissions = _permissions(settings)
        opened: dict[Endpoint, Pool] = {}
        try:
            for endpoint in endpoints:
                with option_named("--listen"):
                    port = await self.proxy.open(
                        endpoint, offered, paused=paused, permissions=permissions
                    )
                opened[endpoint] = Pool(port)
        except DewyError:
            for pool in opened.values():
                await self.proxy.close(pool.port)
            raise
        self.pools |= opened

    def _explained(self, exc: DewyError, new: Iterable[Endpoint]) -> DewyError:
        """Return *exc*, with what is to be done if a *new* port is one of our own."""
        ports = {each.port for each in new if each.port}
        own = [str(each) for each in self.pools if each.port in ports]
        if not own:
            return exc
        return DewyError(
            f"{exc} (this proxy listens at {', '.join(own)}; another address of the "
            "same port takes a restart)"
        )

    async def _permit(self, settings: Settings, new: Iterable[Endpoint]) -> None:
        """Give the files of open ports their permissions, or else close *new* ones."""
        permissions = _permissions(settings)
        if permissions == _permissions(self.settings):
            return
        try:
            for pool in self.pools.values():
                await self.proxy.permit(pool.port, permissions)
        except DewyError:
            for endpoint in new:
                await self._close(endpoint)
            raise

    async def _close(self, endpoint: Endpoint) -> None:
        pool = self.pools.pop(endpoint)
        await self.proxy.close(pool.port)
        log.info("Closed port", extra={"port": str(endpoint)})
        task = asyncio.create_task(self._end(pool), name=f"end of port {endpoint}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _end(self, pool: Pool) -> None:
        """Forget a port after its last connection."""
        await pool.port.idle()
        await pool.stop()
        await self.proxy.forget(pool.port)


def _permissions(settings: Settings) -> Permissions:
    return Permissions(settings.socket_mode, settings.socket_owner)
