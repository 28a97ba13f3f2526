"""Container specifications: the image, options and ports of a version's replicas."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ..config import PortMapping, Reloadable, Settings
from ..deploy.state import Installed
from ..errors import DeploymentError, ImageMissing
from .application import Application
from .image_store import FoundImage
from .model import Engine, Image
from .options.arguments import RunOptions

__all__ = ["ContainerSpec", "ContainerSpecs", "container_ports", "run_as"]

log = logging.getLogger(__name__)

Ensure = Callable[[Installed], Awaitable[FoundImage]]


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """
    Specification of identical replicas.

    Attributes:
        version: The version that the replicas run.

        spec: Fingerprint; replicas that would be created differently have another.

        ports: The containers' ports, one for each port of the proxy.

        healthcheck: Whether the image has a HEALTHCHECK that the engine may run.

        network: The application's own network; "" where the operator chose one.

        body: Returns the request body for the replica of a given number.

        create: Creates the container of a given name and number, and returns its id. An
            image removed meanwhile is pulled again.

        base: Prefix of the containers' names.
    """

    version: Installed
    spec: str
    ports: tuple[int, ...]
    healthcheck: bool
    network: str
    base: str
    body: Callable[[int], dict[str, Any]]
    create: Callable[[str, int], Awaitable[str]]

    def name(self, index: int, attempt: int = 0) -> str:
        """Return a name for a new container, in the original's pattern."""
        return f"{self.base}-{int(time.time()) + attempt}-{index}"


class ContainerSpecs:
    """
    Factory of container specifications, from the operator's options.

    Args:
        settings, options: Settings, and options of the operator, in use.

        ensure: Returns the image of a version, which is on this host from then on.
    """

    def __init__(
        self,
        engine: Engine,
        application: Application,
        settings: Reloadable[Settings],
        options: Reloadable[RunOptions],
        ensure: Ensure,
    ) -> None:
        self._engine = engine
        self._application = application
        self._settings = settings
        self._options = options
        self._warned: set[tuple[str, ...]] = set()
        self._ensure = ensure

    def like(self, settings: Settings, options: RunOptions) -> Self:
        """Return a factory on the same engine, from other options."""
        return type(self)(
            self._engine,
            self._application,
            Reloadable(settings),
            Reloadable(options),
            self._ensure,
        )

    def of(self, version: Installed, found: FoundImage) -> ContainerSpec:
        """
        Return the specification for *version*, whose image was *found* on this host.

        Raises:
            DeploymentError: the container port is ambiguous.
        """
        reference, image = found.reference, found.image
        # As they are now: the specification outlives a reload.
        settings, options = self._settings.current, self._options.current
        ports = container_ports(settings.port_mappings, image)
        self._warn_of_volumes(version, image)
        application, command = self._application, settings.cmd
        spec = options.fingerprint(version.identity, command, ports)
        network = "" if options.network else application.network
        mapped = [
            replace(mapping, container=port)
            for mapping, port in zip(settings.port_mappings, ports, strict=True)
        ]

        def body(index: int) -> dict[str, Any]:
            return options.spec(
                image=reference,
                command=command,
                labels=application.labels(
                    index, version.tag, version.identity, spec, mapped, image.id
                ),
                ports=ports,
                network=network,
            )

        async def create(name: str, index: int) -> str:
            try:
                return await self._engine.create(name, body(index))
            except ImageMissing:
                anew = self.of(version, await self._ensure(version))
                return await self._engine.create(name, anew.body(index))

        return ContainerSpec(
            version=version,
            spec=spec,
            ports=ports,
            healthcheck=image.healthcheck,
            network=network,
            base=options.name or application.name,
            body=body,
            create=create,
        )

    def _warn_of_volumes(self, version: Installed, image: Image) -> None:
        """Warn, once per version, of data that is removed with its containers."""
        volumes = self._options.current.anonymous_volumes(image.volumes)
        known = (version.identity, *volumes)
        kept = self._settings.current.keep_volumes
        if not volumes or kept or known in self._warned:
            return
        self._warned.add(known)
        log.warning(
            "Volumes go with their container, and all data in them",
            extra={
                "tag": version.tag,
                "volumes": ", ".join(volumes),
                "remedy": f"-v NAME:{volumes[0]} after --, or --keep-volumes",
            },
        )


def run_as(engine: Engine, options: RunOptions) -> RunOptions:
    """Return *options* with dewy's own user, where containers are to run as it."""
    return options.run_as(os.getuid(), os.getgid(), rootless=engine.rootless)


def container_ports(mappings: Sequence[PortMapping], image: Image) -> tuple[int, ...]:
    """
    Return the container port behind each of *mappings*.

    Raises:
        DeploymentError: the port is left to the image, which exposes none or several.
    """
    return tuple(mapping.container or _exposed(image, mapping) for mapping in mappings)


def _exposed(image: Image, mapping: PortMapping) -> int:
    if len(image.ports) == 1:
        return image.ports[0]
    found = ", ".join(map(str, image.ports)) or "none"
    raise DeploymentError(
        f"--port {mapping.proxy} leaves the container's port to the image, which "
        f"exposes {found}; use --port {mapping.proxy}:PORT",
        host=True,
    )
