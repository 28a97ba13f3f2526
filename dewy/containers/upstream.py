"""
Upstreams of a container: its own address, or the port it published.

Docker publishes a port through a copying process of its own. Where this host
routes to the container anyway, going there directly saves that hop.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Endpoint
from ..errors import ConfigError, EngineError
from .model import Container, Engine, Network

__all__ = [
    "DIRECT",
    "PUBLISHED",
    "Upstream",
    "Upstreams",
    "require_reach",
    "source_address",
]

log = logging.getLogger(__name__)

AUTO, DIRECT, PUBLISHED = "auto", "direct", "published"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Upstream:
    """
    Way to reach a container.

    Attributes:
        way: `direct` or `published`.

        endpoints: Endpoints for the ports of the proxy, in their order.
    """

    route: str
    endpoints: tuple[Endpoint, ...]

    def leads_to(self, container: Container) -> bool:
        """Return whether *container*, as last seen, is still at the endpoints."""
        if self.route == DIRECT:
            there = container.addresses.values()
            return all(endpoint.host in there for endpoint in self.endpoints)
        ports = container.published.values()
        return all(endpoint.port in ports for endpoint in self.endpoints)


class Upstreams:
    """Finder of the upstreams of containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._bridges: dict[str, Network | None] = {}

    async def of(
        self, container: Container, ports: Sequence[int], wanted: str
    ) -> list[Upstream]:
        """
        Return the upstreams of *container* that may be tried, the cheapest first.

        The list is empty where it does not run, or publishes nothing. *wanted* is
        `auto`, `direct` or `published`.

        Raises:
            EngineError: this host could not look for a route.
        """
        routes = []
        if wanted != PUBLISHED:
            routes += await self._direct(container, ports, wanted)
        if wanted != DIRECT:
            routes += _published(container, ports)
        return routes

    async def _direct(
        self, container: Container, ports: Sequence[int], wanted: str
    ) -> list[Upstream]:
        for name, address in container.addresses.items():
            if wanted == DIRECT or await self._reachable(name, address):
                return [Upstream(DIRECT, tuple(Endpoint(address, p) for p in ports))]
        return []

    async def _reachable(self, network: str, address: str) -> bool:
        """
        Return whether packets to *address* leave by the bridge of *network*.

        The kernel's answer counts, not the address: where there is no route to the
        bridge, some foreign host may answer.
        """
        if self._engine.rootless or not self._engine.local:
            return False
        try:
            found = self._bridges[network] = await self._engine.network(network)
        except EngineError as exc:
            # An engine that is away for a moment moves nothing: its last answer stands.
            log.debug("Network not inspected", extra={"error": str(exc)})
            found = self._bridges.get(network)
        try:
            source = source_address(address)
        except OSError as exc:
            raise EngineError(f"no way to {address} found: {exc.strerror}") from exc
        return found is not None and source is not None and source in found.gateways


def require_reach(engine: Engine, wanted: str) -> None:
    """
    Refuse an engine whose containers could be started but never reached.

    Raises:
        ConfigError: the engine is another host's, and *wanted* requires published
            ports.
    """
    if wanted == DIRECT or engine.local:
        return
    raise ConfigError(
        f"--upstream {wanted}: the engine at {engine.address} is on another host, "
        "whose published ports are out of reach; run dewy on that host, or use "
        "--upstream direct if this host has a route to the containers"
    )


def source_address(address: str) -> str | None:
    """
    Return this host's source address to *address*; None where no route leads.

    Connecting a datagram socket sends nothing.

    Raises:
        OSError: this host lacks descriptors or memory.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect((address, 9))
        except OSError:
            return None
        return str(sock.getsockname()[0])


def _published(container: Container, ports: Sequence[int]) -> list[Upstream]:
    if not ports or any(port not in container.published for port in ports):
        return []
    there = tuple(Endpoint(LOOPBACK, container.published[port]) for port in ports)
    return [Upstream(PUBLISHED, there)]
