"""Networks by name, which an engine may have several of."""

from __future__ import annotations

import asyncio

from dewy.containers.engines.docker import DockerEngine
from dewy.containers.engines.opening import open_engine
from dewy.containers.model import Network
from tests.standins.engines import RealEngine
from tests.standins.fake_engine import FakeEngine


def listed(identity: str, created: str, **more: object) -> dict[str, object]:
    made = {"Name": "n", "Id": identity, "Created": created, "Driver": "bridge"}
    return {**made, "Labels": {"mine": "1"}, **more}


async def test_name_is_whole(fake: FakeEngine, docker: DockerEngine) -> None:
    """An engine also finds what only begins with it."""
    fake.answer("networks", [listed("a", "2031", Name="name")])

    assert await docker.network("n") is None


async def test_first_of_two_stays(fake: FakeEngine, docker: DockerEngine) -> None:
    """The later one was made by somebody who asked at the same time."""
    two = [listed("b", "2032"), listed("a", "2031")]
    fake.answer("networks", [])
    fake.answer("networks", [*two, listed("c", "2033", Labels={"other": "1"})])
    fake.answer("networks/create", {"Id": "b"}, 201)
    fake.answer("networks/b", None, 204)

    await docker.create_network("n", {"mine": "1"})

    deleted = [asked.path for asked in fake.asked if asked.method == "DELETE"]
    assert ["networks/b"] == deleted


async def test_concurrent_network_creation_yields_single_network(
    engine: RealEngine,
) -> None:
    """From one dewy, and from several."""
    name = engine.name("net")
    async with open_engine(engine.runtime, engine.environ) as other:
        async with asyncio.TaskGroup() as asking:
            for one in 3 * [engine.engine, other]:
                asking.create_task(one.create_network(name, engine.labels))
        async with engine.client() as client:
            found = await client.networks.list(filters={"name": [name]})

        assert isinstance(await other.network(name), Network)
        assert [name] == [one["Name"] for one in found]
        assert await other.remove_network(name)
        assert not await engine.engine.remove_network(name)


async def test_network_of_the_engine_is_known_by_its_containers_name(
    engine: RealEngine,
) -> None:
    """Podman lists it under another."""
    name = "bridge" if engine.runtime == "docker" else "podman"

    found = await engine.engine.network(name)

    assert found is not None
    assert found.gateways
