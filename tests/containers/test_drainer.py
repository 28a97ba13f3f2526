"""Replicas that leave, without cutting anybody short."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.containers import drainer
from dewy.containers.drainer import Timeouts
from dewy.containers.options.arguments import RunOptions
from dewy.containers.replica import Replica
from dewy.containers.rollout import Phase
from dewy.errors import EngineError
from tests.eventually import eventually
from tests.standins.crews import Bench, Halt, benched


@asynccontextmanager
async def one(root: Path, drain: float) -> AsyncIterator[tuple[Bench, Replica]]:
    async with benched(
        root, keep=False, replicas=1, health_path="/up", drain_time=drain
    ) as bench:
        await bench.deploy(bench.publish("v1"))
        yield bench, bench.replica_set.deployer.store.serving[0]


def limit(bench: Bench, drain: float, stop: float, jitter: float = 0.0) -> None:
    """Reload the time limits of leaving replicas."""
    settings = replace(
        bench.replica_set.settings,
        drain_time=drain,
        stop_timeout=stop,
        drain_jitter=jitter,
    )
    bench.replica_set.renew(settings, RunOptions())


async def client(bench: Bench) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection through the proxy that was answered once."""
    port = bench.proxy.ports[0].endpoint.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await answered(reader, writer)
    return reader, writer


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"v1" == await reader.readexactly(int(head.rpartition(b": ")[2]))


def asked(bench: Bench, what: str) -> bool:
    return what in {call for call, _ in bench.host.calls}


async def test_draining_replica_is_stopped_after_last_connection(tmp_path: Path):
    async with one(tmp_path, 3600.0) as (bench, replica):
        reader, writer = await client(bench)
        bench.replica_set.drainer.begin([replica])
        assert Phase.LEAVING is replica.phase
        assert [] == bench.serving()
        await answered(reader, writer)
        assert not asked(bench, "stop")

        writer.close()
        await bench.replica_set.drainer.ended()
        assert {} == bench.host.held
        assert [] == bench.replica_set.deployer.store.replicas


async def test_open_connections_are_relayed_during_stop(tmp_path: Path):
    async with one(tmp_path, 0.01) as (bench, replica):
        reader, writer = await client(bench)
        bench.host.hook = halt = Halt("before", "stop")
        bench.replica_set.drainer.begin([replica])
        await halt.reached.wait()
        await answered(reader, writer)
        halt.proceed.set()
        await bench.replica_set.drainer.ended()

        assert {} == bench.host.held
        writer.close()


async def test_backend_address_is_released_before_container_removal(tmp_path: Path):
    """No event may have told of it, and the engine gives the address away."""
    async with one(tmp_path, 3600.0) as (bench, replica):
        assert replica.backends
        left: list[int] = []

        async def watch(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("before", "remove"):
                left.append(len(replica.backends))

        bench.host.hook = watch
        bench.replica_set.drainer.begin([replica])
        await bench.replica_set.drainer.ended()

        assert [0] == left


async def test_idle_replica_is_stopped_without_drain_delay(tmp_path: Path):
    async with one(tmp_path, 3600.0) as (bench, replica):
        limit(bench, 3600.0, 7.0)
        bench.replica_set.drainer.begin([replica])
        async with asyncio.timeout(60):
            await bench.replica_set.drainer.ended()

        assert {} == bench.host.held
        assert 7.0 == bench.shops[replica.id].given


async def test_forced_stop_does_not_wait_for_open_connections(tmp_path: Path):
    async with one(tmp_path, 3600.0) as (bench, replica):
        _, writer = await client(bench)
        limit(bench, 3600.0, 3600.0)
        bench.replica_set.drainer.begin([replica])
        bench.replica_set.drainer.hurry.set()
        async with asyncio.timeout(60):
            await bench.replica_set.drainer.ended()

        assert {} == bench.host.held
        assert 0.0 == bench.shops[replica.id].given
        writer.close()


def test_jitter_gives_each_replica_a_slice_of_its_own():
    """None drains for less than the drain time, nor beyond the jitter."""
    seconds = Timeouts(30.0, 10.0, jitter=60.0).spread(3)

    assert [0, 1, 2] == [int((each - 30.0) // 20.0) for each in seconds]
    assert [30.0, 30.0] == Timeouts(30.0, 10.0).spread(2)
    assert [] == Timeouts(30.0, 10.0, jitter=60.0).spread(0)


async def test_jitter_delays_stop_signal_while_connections_are_open(tmp_path: Path):
    """A replica without any has no reason to wait."""
    async with one(tmp_path, 0.0) as (bench, replica):
        reader, writer = await client(bench)
        limit(bench, 0.0, 7.0, 3600.0)
        bench.replica_set.drainer.begin([replica])
        for _ in range(50):  # it would have been told meanwhile
            await answered(reader, writer)
        assert not asked(bench, "stop")

        writer.close()
        async with asyncio.timeout(60):
            await bench.replica_set.drainer.ended()
        assert {} == bench.host.held


async def test_jitter_does_not_delay_the_end_of_dewy(tmp_path: Path):
    """Its service manager would kill it."""
    async with one(tmp_path, 0.0) as (bench, _):
        _, writer = await client(bench)
        limit(bench, 0.0, 7.0, 3600.0)
        async with asyncio.timeout(60):
            await bench.replica_set.leave()

        assert {} == bench.host.held
        writer.close()


async def test_repeated_drain_stops_replica_once(tmp_path: Path):
    async with one(tmp_path, 3600.0) as (bench, replica):
        bench.replica_set.drainer.begin([replica])
        bench.replica_set.drainer.begin([replica])
        await bench.replica_set.drainer.ended()

        assert 1 == sum(call == "stop" for call, _ in bench.host.calls)


async def test_replica_that_fails_to_stop_serves_again_after_reconcile(
    tmp_path: Path,
):
    async with one(tmp_path, 3600.0) as (bench, replica):
        bench.host.fail("stop", EngineError("it hangs"))
        bench.replica_set.drainer.begin([replica])
        await bench.replica_set.drainer.ended()
        assert Phase.UNCHECKED is replica.phase

        await bench.replica_set.deployer.reconcile()
        assert ["v1"] == bench.serving()
        assert [replica] == bench.replica_set.deployer.store.serving


async def test_stopped_replica_with_failed_removal_is_replaced(tmp_path: Path):
    async with one(tmp_path, 3600.0) as (bench, replica):
        bench.host.fail("remove", EngineError("busy"))
        bench.replica_set.drainer.begin([replica])
        await bench.replica_set.drainer.ended()
        assert 1 == len(bench.host.held)

        await bench.replica_set.deployer.reconcile()
        await bench.replica_set.drainer.ended()
        assert ["v1"] == bench.serving() == bench.running()
        assert 1 == len(bench.host.held)


async def test_removal_that_fails_is_tried_again_with_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drainer, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(drainer, "LONGEST_PAUSE", 0.4)
    async with benched(tmp_path, replicas=1, drain_time=0.0) as bench:
        await bench.deploy(bench.publish("v1"))
        times: list[float] = []
        replica = bench.replica_set.deployer.store.serving[0]

        async def watch(phase: str, call: str, subject: str) -> None:
            if (phase, call, subject) == ("before", "stop", replica.id):
                times.append(asyncio.get_running_loop().time())

        bench.host.hook = watch
        bench.host.fail("stop", *[EngineError("it is stuck")] * 4)
        await bench.deploy(bench.publish("v2"))
        # Whatever else happens meanwhile leads to no earlier attempt.
        store = bench.replica_set.deployer.store
        while replica.id in bench.host.held:
            store.changed.set()
            await asyncio.sleep(0.01)

        pauses = [b - a for a, b in itertools.pairwise(times)]
        assert 4 == len(pauses)
        for least, pause in zip((0.1, 0.2, 0.4, 0.4), pauses, strict=True):
            assert pause > 0.9 * least
        assert ["v2"] == bench.serving() == bench.running()


async def test_giving_up_leaves_the_container(tmp_path: Path):
    async with one(tmp_path, 3600.0) as (bench, replica):
        _, writer = await client(bench)
        bench.replica_set.drainer.begin([replica])
        await asyncio.sleep(0)
        await bench.replica_set.drainer.stop()

        assert not asked(bench, "stop")
        assert ["v1"] == bench.running()
        writer.close()
        await eventually(lambda: replica.connections == 0)
        replica.phase = Phase.UNCHECKED


async def test_forced_stop_kills_replica_already_stopping(tmp_path: Path):
    """A second signal is obeyed in every phase of a stop."""
    async with one(tmp_path, 0.01) as (bench, replica):
        given: list[float] = []
        stopping = asyncio.Event()

        async def stop(seconds: float) -> int:
            given.append(seconds)
            stopping.set()
            if seconds:
                await asyncio.Event().wait()
            return 137

        bench.shops[replica.id].stop = stop
        limit(bench, 0.0, 3600.0)
        bench.replica_set.drainer.begin([replica])
        await stopping.wait()
        bench.replica_set.drainer.hurry.set()
        async with asyncio.timeout(60):
            await bench.replica_set.drainer.ended()

        assert {} == bench.host.held


@pytest.mark.parametrize(
    ("drain", "stop", "shutdown", "expected"),
    [
        (30.0, 10.0, 25.0, 15.0),
        (5.0, 10.0, 25.0, 5.0),
        (30.0, 30.0, 25.0, 12.5),
        (30.0, 0.0, 25.0, 25.0),
    ],
)
def test_drain_time_is_limited_by_shutdown_and_stop_time(
    drain: float, stop: float, shutdown: float, expected: float
):
    assert expected == Timeouts(drain, stop).drain_within(shutdown)
