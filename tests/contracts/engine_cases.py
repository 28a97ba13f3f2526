"""Every container engine, as the contract suite drives it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from dewy.containers.engines.opening import Runtime
from dewy.containers.model import Container, Engine
from tests import needs
from tests.standins.applications import PORT, memory_engine
from tests.standins.engines import LABELS, RealEngine, real_engine
from tests.standins.images import Publisher
from tests.standins.registry import RegistryServer

Publish = Callable[..., Awaitable[str]]


@dataclass(frozen=True)
class EngineCase:
    """
    An engine, and hands in the world around it.

    Attributes:
        publish: Puts an image of a tag into a registry; its reference by tag.

        kill: Ends a container as if it had crashed.

        repository: Where `publish` puts images, `HOST/PATH`.

        labels: On everything that a test creates.

        port: Where applications listen.
    """

    engine: Engine
    publish: Publish
    kill: Callable[[str], Awaitable[None]]
    repository: str
    labels: Mapping[str, str] = field(default_factory=lambda: {"of": "test"})
    port: int = 8080

    @staticmethod
    def name(word: str = "app") -> str:
        return RealEngine.name(word)

    def spec(self, image: str, **more: Any) -> dict[str, Any]:
        """What dewy asks for: the port, published on a port of loopback."""
        made = {
            "Image": image,
            "Labels": dict(self.labels),
            "ExposedPorts": {f"{self.port}/tcp": {}},
            **more,
        }
        made["HostConfig"] = {
            "PortBindings": {
                f"{self.port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]
            },
            **more.get("HostConfig", {}),
        }
        return made

    async def pulled(self, tag: str = "v1", **more: Any) -> str:
        """A reference by tag that is on this host."""
        reference = await self.publish(tag, **more)
        await self.engine.pull(reference, None, lambda done, total: None)
        return reference

    async def created(self, image: str = "", **more: Any) -> str:
        """The id of a new container."""
        return await self.engine.create(
            self.name(), self.spec(image or await self.pulled(), **more)
        )

    async def running(self, image: str = "", **more: Any) -> Container:
        """A new container that runs."""
        container = await self.created(image, **more)
        await self.engine.start(container)
        shown = await self.engine.inspect(container)
        assert shown is not None
        return shown


@asynccontextmanager
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[EngineCase]:
    engine = memory_engine()
    repository = f"registry.test/{uuid.uuid4().hex[:8]}"

    async def publish(tag: str, *, healthcheck: bool = False, **_: object) -> str:
        reference = f"{repository}:{tag}"
        engine.host.publish(reference, ports=(PORT,), healthcheck=healthcheck)
        return reference

    yield EngineCase(engine, publish, engine.host.kill, repository, port=PORT)
    for held in list(engine.host.held.values()):
        await engine.host.kill(held.container.id)


@asynccontextmanager
async def real(
    runtime: Runtime, request: pytest.FixtureRequest
) -> AsyncIterator[EngineCase]:
    request.getfixturevalue("_swept_at_the_end")
    needs.require("gcc")
    registry: RegistryServer = request.getfixturevalue("registry")
    async with (
        real_engine(runtime) as found,
        Publisher(registry.host, LABELS) as publisher,
    ):
        path = RealEngine.name("contract")

        async def publish(tag: str, **more: Any) -> str:
            return (await publisher.publish(path, tag, **more)).tagged

        async def kill(container: str) -> None:
            async with found.client() as client:
                await client.containers.container(container).kill(signal="SIGKILL")

        repository = f"{publisher.host}/{path}"
        yield EngineCase(found.engine, publish, kill, repository, dict(LABELS))


ENGINE_CASES: dict[
    str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[EngineCase]]
] = {
    "mem": memory,
    "docker": partial(real, "docker"),
    "podman": partial(real, "podman"),
}
