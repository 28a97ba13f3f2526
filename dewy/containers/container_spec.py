"""Container specifications: the image, options and ports of a version's replicas."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ..config import PortMapping, Settings
from ..deploy.state import Installed
from ..errors import DeploymentError, ImageMissing
from .application import Application, reference_of
from .image_store import find_image
from .model import Engine, Image
from .options.arguments import RunOptions

__all__ = ["ContainerSpec", "ContainerSpecs", "container_ports"]

log = logging.getLogger(__name__)


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

    Attributes:
        ensure: Makes sure that the image of a version is on this host.
    """

    def __init__(
        self,
        engine: Engine,
        application: Application,
        settings: Settings,
        options: RunOptions,
    ) -> None:
        self._engine = engine
        self._application = application
        self.settings = settings
        self.options = self.run_as(options)
        self._warned: set[tuple[str, ...]] = set()
        self.ensure: Callable[[Installed], Awaitable[None]] = _nothing_ensured

    def run_as(self, options: RunOptions) -> RunOptions:
        """Return *options* with dewy's own user, where containers are to run as it."""
        rootless = self._engine.rootless
        return options.run_as(os.getuid(), os.getgid(), rootless=rootless)

    def like(self, settings: Settings, options: RunOptions) -> Self:
        """Return a factory on the same engine, from other options."""
        return type(self)(self._engine, self._application, settings, options)

    async def of(self, version: Installed) -> ContainerSpec:
        """
        Return the specification for *version*, whose image is on this host.

        Raises:
            ImageMissing: the image is not on this host.
            DeploymentError: the container port is ambiguous.
            EngineError: the engine does not answer.
        """
        found = await find_image(self._engine, self._application, version.identity)
        if found is None:
            name = reference_of(self._application.repository, version.identity)
            raise ImageMissing(f"the image {name} is not on this host")
        reference, image = found.reference, found.image
        ports = container_ports(self.settings.port_mappings, image)
        self._warn_of_volumes(version, image)
        options, application = self.options, self._application
        # As they are now: the specification outlives a reload.
        command = self.settings.cmd
        spec = options.fingerprint(version.identity, command, ports)
        network = "" if options.network else application.network
        mapped = [
            replace(mapping, container=port)
            for mapping, port in zip(self.settings.port_mappings, ports, strict=True)
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
                await self.ensure(version)
                anew = await self.of(version)
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
        volumes = self.options.anonymous_volumes(image.volumes)
        known = (version.identity, *volumes)
        if not volumes or self.settings.keep_volumes or known in self._warned:
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


async def _nothing_ensured(version: Installed) -> None:
    """Do nothing: images are not pulled here."""


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
        f"exposes {found}; say --port {mapping.proxy}:PORT",
        host=True,
    )
