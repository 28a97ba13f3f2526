"""Containers that go on reaching this host when their bridge's address changes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dewy.containers import neighbors
from dewy.containers.neighbors import NeighborKeeper
from tests.eventually import eventually
from tests.needs import needs

# Of the documentation's networks (RFC 5737), which nobody routes.
HOST, FIRST, SECOND = "192.0.2.1", "192.0.2.2", "192.0.2.3"
LOW, HIGH = "02:00:00:00:00:01", "fe:00:00:00:00:01"


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def bridged() -> Iterator[tuple[str, str, str]]:
    """A bridge; the port with the lowest address; the namespace at another port."""
    own = f"{os.getpid() % 100_000}"
    bridge, low, high, place = f"dwb{own}", f"dwl{own}", f"dwh{own}", f"dewy-{own}"
    ip("netns", "add", place)
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("address", "add", f"{HOST}/29", "dev", bridge)
        for port, address in ((low, LOW), (high, HIGH)):
            peer = ("peer", "name", "eth0", "netns", place) if port == high else ()
            ip("link", "add", port, "address", address, "type", "veth", *peer)
            ip("link", "set", port, "master", bridge, "up")
        ip("link", "set", bridge, "up")
        ip("-n", place, "address", "add", f"{SECOND}/29", "dev", "eth0")
        ip("-n", place, "link", "set", "eth0", "up")
        yield bridge, low, place
    finally:
        ip("netns", "delete", place)
        for link in (low, bridge):
            subprocess.run(["ip", "link", "delete", link], capture_output=True)


def address_of(bridge: str) -> str:
    return Path(f"/sys/class/net/{bridge}/address").read_text().strip()


def known_to(place: str) -> str:
    """The hardware address at which the namespace *place* looks for the host."""
    found = json.loads(ip("-n", place, "-json", "neighbor", "show", HOST))
    return found[0].get("lladdr", "") if found else ""


@needs("links")
async def test_container_learns_new_address_of_its_bridge() -> None:
    """The port with the lowest address goes, as that of a removed container does."""
    with bridged() as (bridge, low, place):
        assert LOW == address_of(bridge)
        neighbors._knock(SECOND)
        await eventually(lambda: known_to(place) == LOW)
        async with NeighborKeeper(lambda: [FIRST, SECOND]):
            ip("link", "delete", low)
            await eventually(lambda: known_to(place) == address_of(bridge))
            assert HIGH == known_to(place)


async def test_host_that_tells_of_no_links_is_lived_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(neighbors.socket, "AF_NETLINK")
    async with NeighborKeeper(lambda: [SECOND]):
        pass
