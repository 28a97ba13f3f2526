"""The world around an engine in memory, as tests move it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dewy.containers.model import Container, Event
from tests.containers.engines.test_memory import IMAGE, running
from tests.standins.applications import PORT, LoopbackApplication, memory_engine
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import Call, MemoryHost, Phase


class Killed(BaseException):
    """Whoever drives the engine dies here."""


@pytest.fixture
async def engine() -> AsyncIterator[MemoryEngine]:
    made = memory_engine()
    made.host.publish(IMAGE, ports=(PORT,))
    yield made
    for name in list(made.host.held):
        await made.host.kill(name)


async def shown(engine: MemoryEngine, name: str) -> Container:
    found = await engine.inspect(name)
    assert found is not None
    return found


def test_hosts_of_same_name_are_identical() -> None:
    assert MemoryHost.named("one") is MemoryHost.named("one")
    assert MemoryHost.named("one") is not MemoryHost.named("two")


async def test_freed_address_goes_to_the_next(engine: MemoryEngine) -> None:
    """At once, whoever that is."""
    first = await shown(engine, await running(engine, "api-1"))
    second = await shown(engine, await running(engine, "api-2"))
    await engine.host.kill(first.id)

    third = await shown(engine, await running(engine, "api-3"))

    assert first.addresses == third.addresses
    assert first.addresses != second.addresses


async def test_networks_have_addresses_of_their_own(engine: MemoryEngine) -> None:
    """A network that is gone gives its range to the next one."""
    for name in ("one", "two"):
        await engine.create_network(name, {})
    gateways = {name: one.gateways for name, one in engine.host.networks.items()}
    await engine.remove_network("one")
    await engine.create_network("three", {})

    assert 3 == len(set(gateways.values()))
    assert gateways["one"] == engine.host.networks["three"].gateways


async def test_hook_is_called_for_each_step_and_may_abort_call(
    engine: MemoryEngine,
) -> None:
    """Before: nothing happened. After: it did, but nobody knows."""
    seen: list[tuple[Phase, Call]] = []
    container = await running(engine, "api-1")

    async def hook(phase: Phase, call: Call, subject: str) -> None:
        seen.append((phase, call))
        if (phase, call) in {("before", "stop"), ("after", "remove")}:
            raise Killed

    engine.host.hook = hook
    with pytest.raises(Killed):
        await engine.stop(container, 1)
    assert engine.host.held[container].container.running

    with pytest.raises(Killed):
        await engine.remove(container, force=True)
    assert {} == engine.host.held
    assert [("before", "stop"), ("before", "remove"), ("after", "remove")] == seen
    assert ("remove", container) == engine.host.calls[-1]


async def test_image_may_exit_at_once(engine: MemoryEngine) -> None:
    engine.host.publish(IMAGE, ports=(PORT,), exits=3)
    async with engine.events({}) as events:
        container = await shown(engine, await running(engine, "api-1"))
        told = [await anext(events) for _ in range(4)]

    assert ("exited", 3) == (container.state, container.exit_code)
    assert Event("die", container.id, "3") == told[-1]


async def test_restarted_engine_takes_its_containers_along(
    engine: MemoryEngine,
) -> None:
    """Unless it restores them; nobody hears of their end."""
    container = await running(engine, "api-1")
    async with engine.events({}) as events:
        await engine.host.restart(live_restore=True)
        assert (await shown(engine, container)).running

        await engine.host.restart()

        assert not (await shown(engine, container)).running
        told = [(await anext(events)).action for _ in range(5)]
        assert ["connected", *2 * ["lost", "connected"]] == told


async def test_container_that_is_killed_for_its_memory(engine: MemoryEngine) -> None:
    container = await running(engine, "api-1")

    await engine.host.kill("api-1", oom_killed=True)
    await engine.host.kill("api-1", 1)

    ended = await shown(engine, container)
    assert (True, 137) == (ended.oom_killed, ended.exit_code)


async def test_application_waits_for_its_connections(engine: MemoryEngine) -> None:
    """And those that stay too long are reset, as by SIGKILL."""
    container = await shown(engine, await running(engine, "api-1"))
    port = container.published[PORT]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"v1")
    application = engine.host.held[container.id].application
    assert isinstance(application, LoopbackApplication)

    stopping = asyncio.create_task(engine.stop(container.id, 30))
    await application.stopping.wait()
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await stopping

    assert b"Connection: close" in answer
    assert 0 == (await shown(engine, container.id)).exit_code
