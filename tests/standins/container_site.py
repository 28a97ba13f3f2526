"""A real `dewy container` in a process of its own, and what its engine shows of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiodocker

from tests.eventually import eventually
from tests.standins.engines import RealEngine
from tests.standins.images import Publisher, Pushed
from tests.standins.site import Dewy, Status

Shown = Mapping[str, Any]

QUICK = (
    *("--min-healthy", "200ms", "--drain-time", "1s", "--stop-timeout", "20s"),
    *("--health-interval", "200ms", "--probation", "3s"),
)


@dataclass
class ContainerDewy(Dewy):
    """
    `dewy container …`, polling the registry of *publisher* three times a second.

    Attributes:
        engine: Where its containers are.

        repository: Of its images, in the registry.

        replicas: How many there are to be.

        run_options: What follows `--`.
    """

    command: str = "container"
    engine: RealEngine = None  # type: ignore[assignment]
    publisher: Publisher = None  # type: ignore[assignment]
    repository: str = ""
    replicas: int = 3
    health: Sequence[str] = ("--health-path", "/health")
    run_options: Sequence[str] = ()
    ports: Sequence[str] = ()
    quick: Sequence[str] = field(default=QUICK)

    def __post_init__(self) -> None:
        self.repository = self.repository or self.engine.name("team") + "/app"
        self.registry_url = (
            self.registry_url or f"img://{self.publisher.host}/{self.repository}"
        )
        self.variables = {**self.engine.environ, **self.variables}

    def arguments(self) -> list[str]:
        ports = self.ports or [f"{self.port}"]
        replicas = ["--replicas", str(self.replicas)] if self.replicas else []
        return [
            *(sys.executable, "-m", "dewy", "container"),
            *("--registry", self.registry_url, "--runtime", self.engine.runtime),
            *("--interval", "300ms", "--admin-port", "0"),
            *(word for port in ports for word in ("--port", port)),
            *(*replicas, *self.quick, *self.health, *self.options),
            *("--", *self.run_options),
        ]

    async def push(self, tag: str, **how: Any) -> Pushed:
        """Publish an image of the test application."""
        return await self.publisher.publish(self.repository, tag, **how)

    async def containers(self) -> list[Shown]:
        """All that were made from its images, in whatever state, as inspected."""
        image = f"{self.publisher.host}/{self.repository}"
        mine = {"label": [f"dewy.test.of={image}"]}
        async with self.engine.client() as docker:
            listed = await _listed(docker, mine)
            return [
                shown
                for shown in await asyncio.gather(*map(_shown, listed))
                if shown is not None
            ]

    async def serving(self) -> dict[str, str]:
        """The version of each container that serves, by its id."""
        status = await self.ask("containers")
        return {
            each["id"]: each["version"]
            for each in status["containers"]
            if each["phase"] == "serving"
        }

    async def serves(self, version: str, replicas: int | None = None) -> Status:
        """Wait until *version* runs, in all replicas."""
        wanted = self.replicas if replicas is None else replicas

        def met(status: Status) -> bool:
            found = [
                each["version"]
                for each in status["replicas"]
                if each["phase"] == "serving"
            ]
            running = (status["running"] or {}).get("tag")
            return running == version and found == [version] * wanted

        return await self.until(met)

    async def alone(self, version: str, replicas: int | None = None) -> list[str]:
        """Wait until nothing but the replicas of *version* is left; their ids."""
        wanted = self.replicas if replicas is None else replicas
        found: list[str] = []

        async def settled() -> bool:
            nonlocal found
            shown = await self.containers()
            found = sorted(each["Id"] for each in shown)
            versions = [each["Config"]["Labels"]["dewy.version"] for each in shown]
            running = all(each["State"]["Running"] for each in shown)
            return versions == [version] * wanted and running

        await eventually(settled)
        return found

    async def gone(self) -> None:
        """Wait until no container is left."""

        async def empty() -> bool:
            return not await self.containers()

        await eventually(empty)


def address_of(shown: Shown) -> str:
    """Of a container in one network."""
    (network,) = shown["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


async def _listed(
    docker: aiodocker.Docker, wanted: Mapping[str, list[str]]
) -> list[aiodocker.docker.DockerContainer]:
    while True:
        try:
            return await docker.containers.list(all=True, filters=wanted)
        except aiodocker.DockerError as exc:
            # Podman gives up when one goes while it makes the list.
            if "no such container" not in exc.message:
                raise


async def _shown(container: aiodocker.docker.DockerContainer) -> Shown | None:
    try:
        return await container.show()
    except aiodocker.DockerError as exc:
        if exc.status == 404 or "no such container" in exc.message:
            return None
        raise
