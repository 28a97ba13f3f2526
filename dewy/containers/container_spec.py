"""How the replicas of a version are made: an image, options, ports."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
    Replicas that are all alike.

    Attributes:
        version: Of what they are.

        spec: Differs from that of any that would be made otherwise.

        ports: The containers' ports, one for each port of the proxy.

        healthcheck: The image has a HEALTHCHECK that the engine may run.

        network: Of their own; "" where the operator chose one.

        body: What the engine is asked for replica number so-and-so.

        create: Creates the container of that name and number; returns its id. An
            image that was removed meanwhile is pulled again.

        base: What their names begin with.
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
        """A name for a new container, as the original gave them."""
        return f"{self.base}-{int(time.time()) + attempt}-{index}"


class ContainerSpecs:
    """
    Makes specifications from what the operator said.

    Attributes:
        ensure: Has the image of a version on this host.
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
        """*options*, with dewy's own user where that is to be the containers'."""
        rootless = self._engine.rootless
        return options.run_as(os.getuid(), os.getgid(), rootless=rootless)

    async def of(self, version: Installed) -> ContainerSpec:
        """
        The specification for *version*, whose image is on this host.

        Raises:
            ImageMissing: it is not.
            DeploymentError: which port is meant cannot be told.
            EngineError: the engine does not tell.
        """
        found = await find_image(self._engine, self._application, version.identity)
        if found is None:
            name = reference_of(self._application.repository, version.identity)
            raise ImageMissing(f"the image {name} is not on this host")
        reference, image = found.reference, found.image
        ports = container_ports(self.settings.port_mappings, image)
        self._warn_of_volumes(version, image)
        options, application = self.options, self._application
        spec = options.fingerprint(version.identity, self.settings.cmd, ports)
        network = "" if options.network else application.network
        mapped = [
            replace(mapping, container=port)
            for mapping, port in zip(self.settings.port_mappings, ports, strict=True)
        ]

        def body(index: int) -> dict[str, Any]:
            return options.spec(
                image=reference,
                command=self.settings.cmd,
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
        """Say, once for each version, which data goes with its containers."""
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
    """Where images are not pulled."""


def container_ports(mappings: Sequence[PortMapping], image: Image) -> tuple[int, ...]:
    """
    The containers' port behind each of *mappings*.

    Raises:
        DeploymentError: it is left to the image, which exposes none, or several.
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
