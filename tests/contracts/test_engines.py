"""What every container engine has to do: in memory, Docker and Podman."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from dewy.containers.model import Container, Event
from dewy.errors import EngineError, NameTaken
from tests.contracts.engine_cases import ENGINE_CASES, EngineCase
from tests.eventually import turns

DEADLINE = 60.0


@pytest.fixture(params=ENGINE_CASES)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[EngineCase]:
    async with ENGINE_CASES[request.param](request) as made:
        yield made


async def shown(case: EngineCase, container: str) -> Container:
    found = await case.engine.inspect(container)
    assert found is not None
    return found


async def asked(address: str, port: int, path: str = "/version") -> str:
    """What the application answers, once it listens."""
    async with asyncio.timeout(DEADLINE), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://{address}:{port}{path}") as answer:
                    return (await answer.text()).strip()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)


async def until(events: AsyncIterator[Event], action: str, container: str) -> Event:
    """The next event of that kind about *container*."""
    async with asyncio.timeout(DEADLINE):
        async for event in events:
            if (event.action, event.id) == (action, container):
                return event
    raise AssertionError("events end by themselves")


async def test_container_lives_and_ends(case: EngineCase) -> None:
    """One life, as dewy looks at it at each step."""
    container = await case.created()
    new = await shown(case, container)
    await case.engine.start(container)
    at_work = await shown(case, container)
    await case.engine.stop(container, 10)
    ended = await shown(case, container)
    await case.engine.remove(container)

    assert ("created", None, "", {}, {}) == (
        new.state,
        new.exit_code,
        new.started_at,
        new.addresses,
        new.published,
    )
    assert "running" == at_work.state
    assert at_work.running
    assert at_work.exit_code is None
    assert at_work.started_at > at_work.created_at > ""
    assert 1 == len(at_work.addresses)
    assert [case.port] == list(at_work.published)
    assert ("exited", 0, {}, {}) == (
        ended.state,
        ended.exit_code,
        ended.addresses,
        ended.published,
    )
    assert await case.engine.inspect(container) is None


async def test_application_is_reached_both_ways(case: EngineCase) -> None:
    """At the container's own address and at its published port."""
    container = await case.running(await case.pulled("v7"))

    for address in container.addresses.values():
        assert "v7" == await asked(address, case.port)
    assert "v7" == await asked("127.0.0.1", container.published[case.port])


async def test_container_is_found_by_name_id_and_labels(case: EngineCase) -> None:
    """A label counts with one value or with any."""
    mine = case.name("label")
    container = await case.created(Labels={**case.labels, mine: "a"})
    found = await shown(case, container)

    assert found == await case.engine.inspect(found.name)
    assert [found] == await case.engine.containers({mine: None})
    assert [found] == await case.engine.containers({mine: "a", **case.labels})
    assert [] == await case.engine.containers({mine: "b"})
    assert "a" == found.labels[mine]


async def test_name_is_taken_once(case: EngineCase) -> None:
    image, name = await case.pulled(), case.name()
    await case.engine.create(name, case.spec(image))

    with pytest.raises(NameTaken):
        await case.engine.create(name, case.spec(image))


async def test_image_that_is_not_here_makes_no_container(case: EngineCase) -> None:
    absent = f"{case.repository}:absent"

    with pytest.raises(EngineError):
        await case.engine.create(case.name(), case.spec(absent))


async def test_asking_twice_is_no_matter(case: EngineCase) -> None:
    """Whoever begins anew after a crash repeats itself."""
    container = (await case.running()).id

    await case.engine.start(container)
    await case.engine.stop(container, 5)
    await case.engine.stop(container, 5)
    await case.engine.remove(container)
    await case.engine.remove(container)
    await case.engine.stop(container, 5)
    assert () == await case.engine.logs(container, 10)
    assert () == await case.engine.written(container, 10)


async def test_started_again_is_another_run(case: EngineCase) -> None:
    first = await case.running()
    await case.engine.stop(first.id, 5)

    await case.engine.start(first.id)

    again = await shown(case, first.id)
    assert again.running
    assert again.started_at > first.started_at


async def test_running_container_is_removed_by_force_only(case: EngineCase) -> None:
    container = (await case.running()).id

    with pytest.raises(EngineError):
        await case.engine.remove(container)
    assert (await shown(case, container)).running

    await case.engine.remove(container, force=True)
    assert await case.engine.inspect(container) is None


async def test_events_report_container_lifecycle(case: EngineCase) -> None:
    """Of those who carry the labels, and of nobody else."""
    mine = case.name("label")
    image = await case.pulled()
    async with case.engine.events({mine: None}) as events:
        assert Event("connected") == await anext(events)
        await case.running(image)
        container = await case.running(image, Labels={**case.labels, mine: "a"})
        seen = await until(events, "start", container.id)
        await case.kill(container.id)
        died = await until(events, "die", container.id)
        await case.engine.remove(container.id)
        await until(events, "destroy", container.id)

    assert "start" == seen.action
    assert "137" == died.detail


async def test_waiting_for_events_may_be_given_up(case: EngineCase) -> None:
    async with case.engine.events(case.labels) as events:
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        container = await case.running()

        await until(events, "start", container.id)


async def test_crash_is_seen(case: EngineCase) -> None:
    container = (await case.running()).id
    async with case.engine.events(case.labels) as events:
        await anext(events)
        await case.kill(container)
        await until(events, "die", container)

    ended = await shown(case, container)
    assert ("exited", 137) == (ended.state, ended.exit_code)
    assert not ended.addresses
    assert not ended.published


async def test_image_is_pulled_by_tag_and_by_digest(case: EngineCase) -> None:
    told: list[tuple[int, int | None]] = []
    tagged = await case.publish("v1")
    await case.engine.pull(tagged, None, lambda *step: told.append(step))
    image = await case.engine.image(tagged)
    assert image is not None

    by_digest = next(one for one in image.digests if one.startswith(case.repository))
    await case.engine.pull(by_digest, None, lambda *step: told.append(step))

    assert image == await case.engine.image(by_digest)
    assert image == await case.engine.image(image.id)
    assert [image] == await case.engine.images(case.repository)
    assert tagged in image.tags
    assert (case.port,) == image.ports
    assert "linux/amd64" == image.platform
    done = [step[0] for step in told]
    assert done


async def test_pull_of_unpublished_image_fails(case: EngineCase) -> None:
    with pytest.raises(EngineError, match="absent"):
        await case.engine.pull(f"{case.repository}:absent", None, print)

    assert await case.engine.image(f"{case.repository}:absent") is None


async def test_image_in_use_stays(case: EngineCase) -> None:
    """Not even its name is taken off."""
    image = await case.pulled()
    container = await case.created(image)

    assert not await case.engine.remove_image(image)
    assert await case.engine.image(image) is not None

    await case.engine.remove(container)
    assert await case.engine.remove_image(image)
    assert await case.engine.image(image) is None
    assert await case.engine.remove_image(image)


async def test_images_of_another_repository_are_none_of_ours(case: EngineCase) -> None:
    await case.pulled()

    assert [] == await case.engine.images(f"{case.repository}/more")
    assert [] == await case.engine.images(f"{case.repository}x")


@pytest.mark.parametrize("owner", ["dewy-test/", ""])
async def test_images_of_docker_hub_are_found_by_every_spelling(
    case: EngineCase, owner: str
) -> None:
    image = await case.engine.image(await case.pulled())
    assert image is not None
    name = case.name("hub")
    spelled = f"docker.io/{owner or 'library/'}{name}"
    await case.engine.tag_image(image.id, f"{spelled}:v1")

    for spelling in (spelled, f"index.{spelled}", f"{owner}{name}"):
        (found,) = await case.engine.images(spelling)
        assert image.id == found.id


async def test_repulled_tag_is_another_image(case: EngineCase) -> None:
    before = await case.engine.image(await case.pulled("v1"))
    after = await case.engine.image(await case.pulled("v1", env={"MORE": "new"}))

    assert before is not None
    assert after is not None
    assert before.id != after.id
    left = await case.engine.image(before.id)
    assert left is None or not left.tags


async def test_network_created_concurrently_exists_once(case: EngineCase) -> None:
    name = case.name("net")
    create = case.engine.create_network
    await asyncio.gather(*(create(name, case.labels) for _ in range(4)))

    assert await case.engine.remove_network(name)
    assert await case.engine.network(name) is None


async def test_network_of_our_own(case: EngineCase) -> None:
    """Its containers have their address in it."""
    name = case.name("net")
    assert await case.engine.network(name) is None
    await case.engine.create_network(name, case.labels)
    await case.engine.create_network(name, case.labels)
    network = await case.engine.network(name)
    container = await case.running(HostConfig={"NetworkMode": name})

    assert network is not None
    assert ("bridge", dict(case.labels)) == (network.driver, dict(network.labels))
    assert 1 == len(network.gateways)
    assert [name] == list(container.addresses)
    assert not await case.engine.remove_network(name)
    await case.engine.remove(container.id, force=True)
    assert await case.engine.remove_network(name)
    assert not await case.engine.remove_network(name)


async def test_healthcheck_of_the_image_is_told(case: EngineCase) -> None:
    """Nobody has an opinion of an image that has none."""
    plain = await case.running()
    checked = await case.running(await case.pulled("v2", healthcheck=True))

    images = [await case.engine.image(one.image_id) for one in (plain, checked)]
    assert [False, True] == [one.healthcheck for one in images if one]
    assert "" == plain.health
    assert checked.health in {"starting", "healthy"}
    assert await case.engine.check_health(plain.id) is None
