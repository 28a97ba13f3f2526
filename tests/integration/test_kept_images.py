"""What is kept for emergencies is there when the registry is not, on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiodocker
import pytest

from tests import needs
from tests.eventually import eventually
from tests.standins import roots
from tests.standins.container_site import ContainerDewy
from tests.standins.engines import LABELS, RealEngine
from tests.standins.images import Publisher
from tests.standins.registry import RegistryServer

Port = Callable[[], int]

VERSIONS = ["v1.0.0", "v1.1.0", "v1.2.0"]


@dataclass
class Isolated:
    """A dewy whose registry can go away."""

    dewy: ContainerDewy
    registry: RegistryServer

    async def roll_back(self) -> None:
        said = await roots.say(self.dewy.root, "rollback")
        assert (0, "") == (said.status, said.err), said


@pytest.fixture
async def isolated(
    tmp_path: Path, engine: RealEngine, unused_tcp_port: int
) -> AsyncIterator[Isolated]:
    needs.require("docker-registry")
    needs.require("gcc")
    with RegistryServer(tmp_path / "images") as registry:
        async with Publisher(registry.host, LABELS) as publisher:
            dewy = ContainerDewy(
                tmp_path,
                unused_tcp_port,
                engine=engine,
                publisher=publisher,
                replicas=1,
            )
            yield Isolated(dewy, registry)


async def test_rollback_reaches_every_kept_version_without_a_registry(
    isolated: Isolated, engine: RealEngine
) -> None:
    async with isolated.dewy as dewy:
        for version in VERSIONS:
            await dewy.push(version)
            await dewy.serves(version)
        await dewy.alone(VERSIONS[-1])
        await engine.prune_images()
        isolated.registry.__exit__()
        for version in VERSIONS[-2::-1]:
            await isolated.roll_back()
            await dewy.serves(version)
            assert version == await dewy.fetch("/version")


@pytest.mark.parametrize("end", ["kill", "remove"])
async def test_sole_replica_is_back_from_its_image_id_without_a_registry(
    isolated: Isolated, engine: RealEngine, end: str
) -> None:
    """Though all references to its image are gone, or even its container."""
    version = VERSIONS[0]
    async with isolated.dewy as dewy:
        await dewy.push(version)
        await dewy.serves(version)
        (old,) = await dewy.alone(version)
        isolated.registry.__exit__()
        (shown,) = await dewy.containers()
        async with engine.client() as client:
            image = await client.images.inspect(shown["Image"])
            for name in (*image["RepoTags"], *image["RepoDigests"]):
                # By force Podman would remove the container, too; without it both
                # keep the last name.
                forced = engine.runtime == "docker"
                with suppress(aiodocker.DockerError):
                    await client.images.delete(name, force=forced, noprune=True)
            await client.containers.container(old).kill()

        async def back() -> bool:
            return set(await dewy.serving()) not in (set(), {old})

        await eventually(back)
        assert version == await dewy.fetch("/version")


async def test_image_used_by_another_application_is_kept(
    isolated: Isolated,
    engine: RealEngine,
    tmp_path: Path,
    unused_tcp_port_factory: Port,
) -> None:
    (tmp_path / "other").mkdir()
    one = isolated.dewy
    one.options = ("--name", engine.name("one"), "--keep", "2")
    other = ContainerDewy(
        tmp_path / "other",
        unused_tcp_port_factory(),
        engine=engine,
        publisher=one.publisher,
        replicas=1,
        repository=one.repository,
        options=("--name", engine.name("other")),
    )
    async with one, other:
        kept = await one.push(VERSIONS[0])
        await asyncio.gather(one.serves(VERSIONS[0]), other.serves(VERSIONS[0]))
        said = await roots.say(other.root, "hold")
        assert (0, "") == (said.status, said.err), said
        dropped = await one.push(VERSIONS[1])
        await one.serves(VERSIONS[1])
        for version in (VERSIONS[2], "v1.3.0", "v1.4.0"):
            await one.push(version)
            await one.serves(version)
            await one.until(lambda status: len(status["replicas"]) == 1)
        isolated.registry.__exit__()
        (old,) = await other.serving()
        async with engine.client() as client:
            await client.containers.container(old).delete(force=True)

        async def back() -> bool:
            return set(await other.serving()) not in (set(), {old})

        await eventually(back)
        assert VERSIONS[0] == await other.fetch("/version")
        assert await engine.engine.image(kept.by_digest)
        assert not await engine.engine.image(dropped.by_digest)
