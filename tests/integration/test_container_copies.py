"""What an operator makes from a replica is the operator's, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.standins.container_site import ContainerDewy
from tests.standins.engines import RealEngine

VERSION = "v1.0.0"


@pytest.fixture
def site(container_dewy: ContainerDewy) -> ContainerDewy:
    container_dewy.options = ("--on-exit", "leave")
    return container_dewy


@asynccontextmanager
async def copied(engine: RealEngine, container: str) -> AsyncIterator[str]:
    """A container run from a commit of *container*; its id."""
    repository = engine.name("copy")
    async with engine.client() as client:
        original = client.containers.container(container)
        # Podman wants a body, whatever is in it.
        await original.commit(repository=repository, tag="1", config={"User": ""})
        copy = await client.containers.run({"Image": f"{repository}:1"})
        try:
            yield copy.id
        finally:
            await copy.delete(force=True)
            await client.images.delete(f"{repository}:1", force=True)


async def test_container_from_a_commit_of_a_replica_is_left_alone(
    site: ContainerDewy, engine: RealEngine
) -> None:
    """While dewy runs, and when it starts again and adopts what it finds."""
    await site.push(VERSION)
    async with site:
        await site.serves(VERSION)
        replicas = await site.alone(VERSION)
        async with copied(engine, replicas[0]) as copy:
            await site.polls()
            assert replicas == sorted(await site.serving())
            await site.stop()
            await site.start()
            await site.serves(VERSION)
            await site.polls()

            assert replicas == sorted(await site.serving())
            async with engine.client() as client:
                shown = await client.containers.container(copy).show()
            assert shown["State"]["Running"]
            assert "it is left alone" in site.log
        site.options = ()
        await site.stop()
        await site.start()
        await site.serves(VERSION)
    await site.gone()
