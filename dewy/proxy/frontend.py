"""Ports and backends of `dewy proxy`, as the settings in force have them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from ..config import Endpoint, HostName, Settings
from ..errors import DewyError
from .backend import Backend, reachable
from .listeners import Offered, Permissions, find_offered, option_named
from .port import Port
from .proxy import Proxy
from .resolver import LOOKUP_INTERVAL, Pool, Resolver

__all__ = ["Frontend"]

log = logging.getLogger(__name__)


class Frontend:
    """
    Ports of `dewy proxy` and the backends to which their connections go.

    Attributes:
        settings: Settings in force.

        pools: Backends of each open port, by the address in the settings.

        changed: Set whenever the settings or the backends change.

        unhealthy: Backends that failed the active health checks.

        paused: Whether new connections wait, also those to ports opened later.
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
        Open the ports in the settings, or if there are none, all *offered* sockets.

        Closes the offered sockets, of which the ports have duplicates.

        Raises:
            ConfigError: there is no such user or group for the file of a Unix socket.
            DewyError: a port cannot be opened, or no backend can be looked up.
        """
        wanted = self.settings.listen or [Endpoint.of(sock) for _, sock in offered]
        await self._open(wanted, self.settings, offered)
        self._serve(await self.addresses(self.settings))
        used = [found for each in wanted if (found := find_offered(each, offered))]
        for name, sock in offered:
            if (name, sock) not in used:
                log.warning("Passed socket is not used", extra={"socket": name})
            sock.close()

    async def apply(self, settings: Settings) -> None:
        """
        Open and close ports and exchange backends, to match *settings*.

        Open connections go on. Without addresses in *settings* the open ports stay.

        Raises:
            ConfigError: there is no such user or group for the file of a Unix socket.
            DewyError: a port cannot be opened, the permissions of a file cannot be
                changed, or no backend can be looked up. The old settings stay.
        """
        found = await self.addresses(settings)
        wanted = list(settings.listen) or list(self.pools)
        new = [each for each in wanted if each not in self.pools]
        # Paused, so that no client is reset before there are backends.
        try:
            await self._open(new, settings, paused=True)
        except DewyError as exc:
            raise self._with_advice(exc, new) from exc
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
        """Accept again, beginning with the connections that wait."""
        self.paused = False
        for port in self._accepting():
            port.resume()

    def _accepting(self) -> list[Port]:
        ports = (pool.port for pool in self.pools.values())
        return [port for port in ports if not port.closed]

    async def resolve(self) -> None:
        """Look up the backends, and let all ports serve their present addresses."""
        asked = self.settings.backends
        found = await self._resolver.addresses(asked)
        # A reload meanwhile has looked up its own.
        if asked == self.settings.backends:
            self._serve(found)

    async def addresses(self, settings: Settings) -> list[Endpoint]:
        """
        Return the addresses of the backends in *settings*, at least one.

        Raises:
            DewyError: no backend can be looked up.
        """
        if found := await self._resolver.addresses(settings.backends):
            return found
        names = ", ".join(map(str, settings.backends))
        raise DewyError(f"no backend can be looked up: {names}")

    def unresolved(self) -> dict[HostName, list[Endpoint]]:
        """Return the backends whose latest lookup failed, with their last addresses."""
        return self._resolver.failing(self.settings.backends)

    def _serve(self, found: list[Endpoint]) -> None:
        for pool in self.pools.values():
            before = {each.endpoint for each in pool.port.serving}
            if pool.serve(found):
                self.changed.set()
                self._eject_unchecked(
                    [each for each in pool.port.serving if each.endpoint not in before],
                    beside=bool(before & set(found)),
                )

    def _eject_unchecked(self, new: Iterable[Backend], *, beside: bool) -> None:
        """Prefer the backends *beside* the *new* ones until these pass a check."""
        if self.settings.health_path and beside:
            for backend in new:
                self.unhealthy.add(backend.endpoint)
                backend.eject()

    async def probe(self, backend: Backend) -> bool | None:
        """Return whether a suspected *backend* may be used again, as a `Probe`."""
        if backend.endpoint in self.unhealthy:
            return False
        protocol = self.settings.proxy_protocol == "v2"
        return await reachable(backend.endpoint, proxy_protocol=protocol)

    async def keep_resolving(self) -> None:
        """Call `resolve` every `LOOKUP_INTERVAL` seconds until cancelled."""
        while True:
            await asyncio.sleep(LOOKUP_INTERVAL)
            await self.resolve()

    async def stop(self) -> None:
        """Stop waiting for the connections of closed ports and former backends."""
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

    def _with_advice(self, exc: DewyError, new: Iterable[Endpoint]) -> DewyError:
        """Return *exc*, with advice if this proxy itself uses the number of a port."""
        ports = {each.port for each in new if each.port}
        own = [str(each) for each in self.pools if each.port in ports]
        if not own:
            return exc
        return DewyError(
            f"{exc} (this proxy listens at {', '.join(own)}; to listen at another "
            "address of the same port, restart it)"
        )

    async def _permit(self, settings: Settings, new: Iterable[Endpoint]) -> None:
        """Change the permissions of open ports; if that fails, close the *new* ones."""
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
        task = asyncio.create_task(
            self._forget_when_idle(pool), name=f"drain of port {endpoint}"
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _forget_when_idle(self, pool: Pool) -> None:
        await pool.port.idle()
        await pool.stop()
        await self.proxy.forget(pool.port)


def _permissions(settings: Settings) -> Permissions:
    return Permissions(settings.socket_mode, settings.socket_owner)
