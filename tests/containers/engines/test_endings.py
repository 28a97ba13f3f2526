"""How a container ended, as both engines tell it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiodocker.docker import DockerContainer

from dewy.containers.engines.decode import Stops
from dewy.containers.model import Event
from tests.eventually import DEADLINE
from tests.standins.engines import LABELS, RealEngine
from tests.standins.images import Publisher, compiled

Act = Callable[[DockerContainer], Awaitable[object]]
ASKED = {"kill", "stop", "restart", "destroy"}

AROUND = {"create", "start", "connect", "disconnect"}

HUNGRY = """
#include <stdlib.h>
#include <string.h>
int main(void)
{
    for (;;) {
        char *more = malloc(1 << 20);
        if (more)
            memset(more, 1, 1 << 20);
    }
}
"""


async def kill(container: DockerContainer) -> None:
    await container.kill()


async def stop(container: DockerContainer) -> None:
    await container.stop(t=20)


async def stop_at_once(container: DockerContainer) -> None:
    await container.stop(t=0)


async def remove(container: DockerContainer) -> None:
    await container.delete(force=True)


async def crash(container: DockerContainer) -> None:
    """A death that the engine was not asked for."""
    shown = await container.show()
    os.kill(shown["State"]["Pid"], signal.SIGKILL)


async def leave(container: DockerContainer) -> None:
    """It ends by itself."""


async def ending(
    engine: RealEngine, image: str, act: Act, events: AsyncIterator[Event]
) -> list[Event]:
    """What is told of a container between its start and its removal by the test."""
    limits = {"Memory": 20 << 20, "MemorySwap": 20 << 20}
    spec = {"Image": image, "Labels": LABELS, "HostConfig": limits}
    told: list[Event] = []

    async def until(action: str) -> None:
        while action not in {each.action for each in told}:
            event = await anext(events)
            if event.id == container.id and event.action not in AROUND:
                told.append(event)

    async with engine.client() as docker, asyncio.timeout(DEADLINE):
        container = await docker.containers.create(spec, name=engine.name())
        await container.start()
        await act(container)
        await until("die")
        if act in (stop, stop_at_once):
            # Podman shows it once it has cleaned up, if it is not removed before.
            await until("stop")
        if act is not remove:
            await container.delete()
        await until("destroy")
    return told if act is remove else told[:-1]


@pytest.mark.parametrize("act", [kill, stop, stop_at_once, remove])
async def test_ending_that_was_asked_for_is_told(
    engine: RealEngine, publisher: Publisher, act: Act
) -> None:
    pushed = await publisher.publish(engine.name(), "v1")
    await engine.engine.pull(pushed.by_digest, None, lambda done, total: None)
    async with engine.engine.events(LABELS) as events:
        told = await ending(engine, pushed.by_digest, act, events)

    assert ASKED & {each.action for each in told}, told
    assert {"9", "15", ""} >= {each.detail for each in told if each.action == "kill"}


@pytest.mark.parametrize(("act", "code"), [(crash, "137"), (leave, "3")])
async def test_crash_is_told_by_its_exit_code_alone(
    engine: RealEngine, publisher: Publisher, act: Act, code: str
) -> None:
    env = {"EXIT_AFTER_MS": "300"} if act is leave else {}
    pushed = await publisher.publish(engine.name(), "v1", env=env)
    await engine.engine.pull(pushed.by_digest, None, lambda done, total: None)
    async with engine.engine.events(LABELS) as events:
        told = await ending(engine, pushed.by_digest, act, events)

    assert [("die", code)] == [(each.action, each.detail) for each in told]


async def test_lack_of_memory_is_not_taken_for_an_operator(
    engine: RealEngine, publisher: Publisher
) -> None:
    """Docker mostly names it; else it is a death by SIGKILL that nobody asked for."""
    name = engine.name()
    pushed = await publisher.publish(name, "v1", program=compiled("hungry", HUNGRY))
    await engine.engine.pull(pushed.by_digest, None, lambda done, total: None)
    async with engine.engine.events(LABELS) as events:
        told = await ending(engine, pushed.by_digest, leave, events)

    assert [("die", "137")] == [
        (each.action, each.detail) for each in told if each.action != "oom"
    ]


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["die", "cleanup"], ["die"]),
        (["die", "cleanup", "cleanup"], ["die", "stop"]),
        (["stop", "die", "cleanup", "cleanup"], ["stop", "die"]),
        (["die", "cleanup", "start", "die", "cleanup"], ["die", "start", "die"]),
        (["die", "cleanup", "cleanup", "start"] * 2, ["die", "stop", "start"] * 2),
    ],
)
def test_second_cleanup_of_a_run_is_a_stop(
    actions: list[str], expected: list[str]
) -> None:
    stops = Stops()
    told = [stops.of(Event(action, "a")) for action in actions]

    assert expected == [each.action for each in told if each is not None]
