"""What the keeper makes of bad health, of networks and of hosts that restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from dewy.containers.model import Event
from tests.containers.test_reconciler import first, kept, whole
from tests.eventually import eventually
from tests.standins.crews import Bench, benched


async def test_who_answers_badly_leaves_and_comes_back(tmp_path: Path):
    async with kept(tmp_path, health_interval=0.01) as bench:
        replica = first(bench)
        shop = bench.shops[replica.id]
        shop.health = 500
        await eventually(lambda: replica.backends[0].ejected)
        assert "answered 500" in replica.problem
        assert any("unhealthy" in each for each in bench.replica_set.degraded())
        before = shop.connections
        shop.health = 200
        await eventually(lambda: not replica.backends[0].ejected)

        assert shop.connections - before >= bench.settings.health_rise
        assert [] == bench.deaths


async def test_a_good_answer_of_somebody_else_brings_nobody_back(tmp_path: Path):
    """The container is gone, no event told of it, and its port is another's."""
    async with kept(tmp_path, health_interval=0.01) as bench:
        sick = first(bench)
        shop, port = bench.shops[sick.id], sick.container.published[8080]
        shop.health = 500
        await eventually(lambda: sick.backends[0].ejected)
        held = bench.host.held[sick.id]
        held.change(state="exited", exit_code=1, addresses={}, published={})
        await shop.kill()

        async def answer(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign")
            writer.close()

        foreign = await asyncio.start_server(answer, "127.0.0.1", port)
        await eventually(lambda: sick.id not in bench.host.held and whole(bench))
        assert {"v1"} == {await bench.ask() for _ in range(6)}
        foreign.close()


async def test_when_nobody_is_healthy_all_are_used(tmp_path: Path):
    async with kept(tmp_path, health_interval=0.01) as bench:
        for shop in bench.shops.values():
            shop.health = 500
        serving = bench.replica_set.deployer.store.serving
        await eventually(lambda: all(r.backends[0].ejected for r in serving))

        assert "v1" == await bench.ask()
        assert ["v1"] * 3 == bench.serving()


async def test_who_left_its_network_is_checked_and_serves_again(tmp_path: Path):
    async with kept(tmp_path) as bench:
        replica = first(bench)
        before = replica.backends
        held = bench.host.held[replica.id]
        bench.host.tell("disconnect", held)
        await eventually(lambda: before != replica.backends and whole(bench))

        assert [] == bench.deaths
        assert held.container.id in bench.host.held


async def test_one_that_somebody_restarts_is_taken_back(tmp_path: Path):
    async with kept(tmp_path) as bench:
        victim = first(bench).id
        held = bench.host.held[victim]
        await bench.host.kill(victim)
        await bench.host.start(held)
        await eventually(lambda: bench.deaths and whole(bench))


async def test_events_about_strangers_are_of_no_interest(tmp_path: Path):
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        for action in ("start", "die", "disconnect", "health_status"):
            await reconciler._heed(Event(action, "unknown", "healthy"))

        assert ["v1"] * 3 == bench.serving()


async def test_what_an_earlier_dewy_left_is_not_waited_for(tmp_path: Path):
    async with kept(tmp_path, on_exit="leave") as bench:
        host = bench.host
    async with benched(tmp_path, host, answered=False) as bench:
        assert bench.replica_set.reconciler is not None
        async with asyncio.timeout(60):
            await bench.replica_set.reconciler.begun()
        assert ["v1"] * 3 == bench.serving()


async def test_after_a_restart_of_the_host_what_ran_is_started_first(tmp_path: Path):
    async with kept(tmp_path, on_exit="leave") as bench:
        host = bench.host
    for container in list(host.held):
        await host.kill(container)
    host.calls.clear()
    host.registry.clear()
    async with benched(tmp_path, host, answered=False) as bench:
        host.run = _reviving(bench)
        assert bench.replica_set.reconciler is not None
        async with asyncio.timeout(60):
            await bench.replica_set.reconciler.begun()

        assert whole(bench)
        assert "pull" not in {call for call, _ in host.calls}


def _reviving(bench: Bench) -> Any:
    async def run(container: Any, spec: Any) -> Any:
        labels = {**container.labels, "version": "v1"}
        return await bench.run(replace(container, labels=labels), spec)

    return run
