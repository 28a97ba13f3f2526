"""What the engine in memory adds to what every engine does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dewy.containers.model import Event
from dewy.errors import EngineError, PullDenied
from tests.standins.applications import PORT, memory_engine
from tests.standins.memory_engine import MemoryEngine

IMAGE = "registry.test/team/api:v1"


def ignore(done: int, total: int | None) -> None:
    pass


@pytest.fixture
async def engine() -> AsyncIterator[MemoryEngine]:
    made = memory_engine()
    yield made
    for name in list(made.host.held):
        await made.host.kill(name)


async def running(engine: MemoryEngine, name: str, image: str = IMAGE) -> str:
    """The id of a new container."""
    await engine.pull(image, None, ignore)
    made = await engine.create(name, {"Image": image, "Labels": {"app": "api"}})
    await engine.start(made)
    return made


async def test_host_outlives_its_engine(engine: MemoryEngine) -> None:
    """The next engine finds what the last one began."""
    engine.host.publish(IMAGE, ports=(PORT,))
    container = await running(engine, "api-1")

    found = await MemoryEngine.named(engine.host.name).containers({"app": "api"})

    assert [container] == [one.id for one in found]
    assert found[0].running


async def test_next_call_fails_as_prepared(engine: MemoryEngine) -> None:
    """Once for each error."""
    engine.host.publish(IMAGE, ports=(PORT,))
    engine.host.fail("pull", PullDenied("another password"))

    with pytest.raises(PullDenied):
        await engine.pull(IMAGE, None, ignore)

    await engine.pull(IMAGE, None, ignore)


async def test_failed_application_leaves_a_container_that_says_why(
    engine: MemoryEngine,
) -> None:
    async def run(*_: object) -> None:
        raise EngineError("no such program")

    engine.host.publish(IMAGE, ports=(PORT,))
    engine.host.run = run  # type: ignore[assignment]

    with pytest.raises(EngineError):
        await running(engine, "api-1")

    (held,) = engine.host.held.values()
    assert ("created", "no such program", {}) == (
        held.container.state,
        held.container.error,
        held.container.addresses,
    )


async def test_labels_of_the_image_are_its_containers(engine: MemoryEngine) -> None:
    engine.host.publish(IMAGE, ports=(PORT,), labels={"of": "image", "app": "web"})
    container = await engine.inspect(await running(engine, "api-1"))

    assert container is not None
    assert {"of": "image", "app": "api"} == container.labels


async def test_healthcheck_runs_by_itself_or_when_told(engine: MemoryEngine) -> None:
    engine.host.publish(IMAGE, ports=(PORT,), healthcheck=True)
    container = await running(engine, "api-1")
    async with engine.events({"app": None}) as events:
        engine.host.set_health(container, "healthy")
        await anext(events)

        assert Event("health_status", container, "healthy") == await anext(events)
    assert await engine.check_health(container) is None
    engine.runs_healthchecks = False
    assert await engine.check_health(container) is True


async def test_logs_return_last_lines_of_output(engine: MemoryEngine) -> None:
    engine.host.publish(IMAGE, ports=(PORT,))
    container = await running(engine, "api-1")
    engine.host.held[container].output += ["one", "two", "three"]

    assert ("two", "three") == await engine.logs(container, 2)
    assert () == await engine.logs(container, 0)
