"""The networks of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiodocker
from aiodocker.networks import DockerNetwork

from ..model import Network
from . import decode
from .client import EngineClient
from .errors import exists, in_use

# Podman's default network, by the name containers use and the one Docker's API lists.
PODMAN, BRIDGE = "podman", "bridge"


async def network(wire: EngineClient, name: str) -> Network | None:
    """See `Engine.network`."""
    found = await _called(wire, name)
    async with wire.asking(f"look at network {name}"):
        return decode.network(found[0]) if found else None


async def create(wire: EngineClient, name: str, labels: Mapping[str, str]) -> None:
    """
    See `Engine.create_network`.

    Docker creates two networks of one name for two simultaneous requests and then lets
    no container join either; the later ones are removed again.
    """
    if not await _called(wire, name):
        await _create(wire, name, labels)
    for one in (await _called(wire, name))[1:]:
        if decode.carries(one.get("Labels") or {}, labels):
            await _delete(wire, one["Id"])


async def _create(wire: EngineClient, name: str, labels: Mapping[str, str]) -> None:
    wanted = {
        "Name": name,
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Labels": dict(labels),
    }
    async with wire.asking(f"create network {name}", wire.deadlines.change):
        try:
            await wire.docker.networks.create(wanted)
        except aiodocker.DockerError as exc:
            if not exists(exc.status, exc.message):
                raise


async def remove(wire: EngineClient, name: str) -> bool:
    """See `Engine.remove_network`."""
    found = await _called(wire, name)
    if not found or name in await _used(wire):
        return False
    return all([await _delete(wire, one["Id"]) for one in found])


async def _delete(wire: EngineClient, identity: str) -> bool:
    """Remove the network; return whether it existed and was removed."""
    async with wire.asking(f"remove network {identity}", wire.deadlines.change):
        try:
            found = DockerNetwork(wire.docker, identity)  # type: ignore[no-untyped-call]
            return bool(await found.delete())
        except aiodocker.DockerError as exc:
            if exc.status == 404 or in_use(exc.status, exc.message):
                return False
            raise


async def _called(wire: EngineClient, name: str) -> list[dict[str, Any]]:
    """Return the networks of exactly this name, the oldest first."""
    async with wire.asking(f"look for network {name}"):
        listed = await wire.docker.networks.list(filters={"name": [name]})
        names = {name, BRIDGE} if wire.libpod and name == PODMAN else {name}
        mine = [one for one in listed if one["Name"] in names]
        return sorted(mine, key=lambda one: (one["Created"], one["Id"]))


async def _used(wire: EngineClient) -> set[str]:
    """Return the networks of all containers; Podman removes networks in use."""
    async with wire.asking("list containers"):
        listed = await wire.docker.containers.list(all=True)
        return {
            name
            for entry in listed
            for name in (entry["NetworkSettings"] or {}).get("Networks") or ()
        }
