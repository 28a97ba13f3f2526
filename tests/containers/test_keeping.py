"""What the keeper makes of bad health, of networks and of hosts that restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Endpoint
from dewy.containers import replica_store
from dewy.containers.reconciler import FIRST_LOOK
from dewy.containers.replica_store import ReplicaStore
from dewy.containers.rollout import Phase
from dewy.containers.upstream import DIRECT, Upstream
from dewy.deploy.state import Installed
from dewy.errors import EngineError, StartFailed
from tests.containers.test_reconciler import count, first, kept, whole
from tests.eventually import DEADLINE, eventually, turns
from tests.standins.crews import Bench, Halt, benched
from tests.standins.memory_host import MemoryContainer


async def test_answer_of_foreign_process_does_not_restore_dead_replica(tmp_path: Path):
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


async def test_disconnected_replica_is_rechecked_and_serves_again(tmp_path: Path):
    async with kept(tmp_path) as bench:
        replica = first(bench)
        before = replica.backends
        held = bench.host.held[replica.id]
        bench.host.tell("disconnect", held)
        await eventually(lambda: before != replica.backends and whole(bench))

        assert [] == bench.deaths
        assert held.container.id in bench.host.held


async def test_disconnect_from_unused_network_keeps_replica_serving(
    tmp_path: Path,
):
    async with kept(tmp_path) as bench:
        replica = first(bench)
        held = bench.host.held[replica.id]
        addresses = held.container.addresses
        held.change(addresses={**addresses, "metrics": "10.9.9.9"})
        bench.host.tell("connect", held, "metrics")
        await eventually(lambda: "metrics" in replica.container.addresses)
        (address,) = addresses.values()
        replica.upstream = Upstream(DIRECT, (Endpoint(address, 8080),))
        before, looks = replica.backends, count(bench, "inspect")
        held.change(addresses=addresses)
        bench.host.tell("disconnect", held, "metrics")
        await eventually(lambda: count(bench, "inspect") > looks)
        await turns()

        assert before == replica.backends
        assert replica.phase is Phase.SERVING


async def test_replica_set_recovers_after_external_replica_restart(tmp_path: Path):
    async with kept(tmp_path) as bench:
        victim = first(bench).id
        held = bench.host.held[victim]
        await bench.host.kill(victim)
        await bench.host.start(held)
        await eventually(lambda: bench.deaths and whole(bench))


async def test_events_about_strangers_are_of_no_interest(tmp_path: Path):
    async with kept(tmp_path) as bench:
        stranger = replace(first(bench).container, id="unknown")
        for action in ("start", "die", "disconnect", "health_status"):
            bench.host.tell(action, MemoryContainer(stranger, {}), "healthy")
        await turns()

        assert ["v1"] * 3 == bench.serving()


async def test_startup_with_adopted_replicas_needs_no_registry(tmp_path: Path):
    async with kept(tmp_path, on_exit="leave") as bench:
        host = bench.host
    async with benched(tmp_path, host, answered=False) as bench:
        assert bench.replica_set.reconciler is not None
        async with asyncio.timeout(60):
            await bench.replica_set.reconciler.begun()
        assert ["v1"] * 3 == bench.serving()


async def test_replicas_found_paused_hold_up_no_poll(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Nobody but whoever paused them ends that; a newer release may serve."""
    async with kept(tmp_path, on_exit="leave") as bench:
        host = bench.host
    for held in host.held.values():
        held.change(state="paused")
    caplog.clear()
    async with benched(tmp_path, host, answered=False) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        before = asyncio.get_running_loop().time()
        await reconciler.begun()
        took = asyncio.get_running_loop().time() - before

        assert [] == bench.serving()
        assert took < FIRST_LOOK / 2
        for held in host.held.values():
            held.change(state="running")
    assert 3 == [each.message for each in caplog.records].count("Replica is paused")


async def test_host_restart_starts_existing_replicas_without_pull(tmp_path: Path):
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


async def test_paused_replica_leaves_the_table_and_returns(tmp_path: Path):
    async with kept(tmp_path) as bench:
        held = bench.host.held[first(bench).id]
        held.change(state="paused")
        bench.host.tell("pause", held)
        await eventually(lambda: bench.serving() == ["v1"] * 2)
        assert len(bench.host.held) == 3
        told = bench.replica_set.degraded()
        assert f"paused in the engine: {held.container.name}" in told

        held.change(state="running")
        bench.host.tell("unpause", held)
        await eventually(lambda: whole(bench))
        assert held.container.id in bench.host.held
        assert [] == bench.deaths


@pytest.mark.parametrize("by", ["kill", "stop", "destroy"])
async def test_end_that_somebody_asked_for_is_healed_and_no_verdict(
    by: str, tmp_path: Path
):
    async with kept(tmp_path) as bench:
        victim = bench.host.held[first(bench).id]
        if by == "destroy":
            await bench.host.kill(victim.container.id)
            del bench.host.held[victim.container.id]
        bench.host.tell(by, victim, "9")
        await bench.host.kill(victim.container.id)
        await eventually(
            lambda: whole(bench) and victim.container.id not in bench.host.held
        )

        assert [] == bench.deaths


async def test_slow_removal_by_force_is_healed_at_once_and_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Podman tells that it removes a container only when that is done."""
    monkeypatch.setattr(replica_store, "LONG_AFTERWARDS", DEADLINE)
    async with kept(tmp_path, flavour="podman") as bench:
        victim = bench.host.held[first(bench).id]
        await bench.host.kill(victim.container.id)
        await eventually(lambda: bench.serving() == ["v1"] * 3)
        assert victim.container.id in bench.host.held

        del bench.host.held[victim.container.id]
        bench.host.tell("remove", victim)
        await eventually(lambda: whole(bench))
        assert [] == bench.deaths


async def test_removal_that_only_an_inspection_shows_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replica_store, "LONG_AFTERWARDS", DEADLINE)
    async with kept(tmp_path, flavour="podman") as bench:
        victim = first(bench).id
        await bench.host.kill(victim)
        await eventually(lambda: bench.serving() == ["v1"] * 3)

        del bench.host.held[victim]
        await bench.replica_set.deployer.store.look_at(victim)
        await eventually(lambda: whole(bench))
        assert [] == bench.deaths


async def test_kill_that_no_removal_follows_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replica_store, "LONG_AFTERWARDS", 0.1)
    async with kept(tmp_path, flavour="podman") as bench:
        victim = first(bench)
        await bench.host.kill(victim.id)
        await eventually(lambda: whole(bench) and victim.id not in bench.host.held)
        assert 1 == len(bench.deaths)


@pytest.mark.parametrize("number", ["1", "18", "SIGSTOP"])
async def test_signal_that_ends_nothing_excuses_no_death(tmp_path: Path, number: str):
    async with kept(tmp_path) as bench:
        victim = bench.host.held[first(bench).id]
        bench.host.tell("kill", victim, number)
        await bench.host.kill(victim.container.id)
        await eventually(lambda: whole(bench) and bench.deaths)


async def test_death_for_use_of_memory_is_a_verdict_whatever_was_asked(tmp_path: Path):
    async with kept(tmp_path) as bench:
        victim = bench.host.held[first(bench).id]
        bench.host.tell("kill", victim, "15")
        await bench.host.kill(victim.container.id, oom_killed=True)
        await eventually(lambda: whole(bench) and bench.deaths)


async def test_replica_without_any_address_is_replaced_at_once(tmp_path: Path):
    """Beside it, those that died are started."""
    async with kept(tmp_path) as bench:
        cut, *others = bench.replica_set.deployer.store.serving
        held = bench.host.held[cut.id]
        held.change(addresses={}, published={})
        bench.host.tell("disconnect", held)
        for each in others:
            await bench.host.kill(each.id)
        await eventually(lambda: whole(bench) and cut.id not in bench.host.held)


async def test_broken_survivor_holds_up_no_replacement(tmp_path: Path):
    """Its second look takes a moment; the others are started meanwhile."""
    async with kept(tmp_path, health_timeout=3600.0) as bench:
        survivor, *others = bench.replica_set.deployer.store.serving
        shop = bench.shops[survivor.id]
        shop.answers.clear()
        bench.host.tell("disconnect", bench.host.held[survivor.id])
        for each in others:
            await bench.host.kill(each.id)
        await eventually(lambda: len(bench.serving()) >= 2)
        await eventually(lambda: whole(bench) and survivor.id not in bench.host.held)
        shop.answers.set()


async def test_rollout_that_waits_holds_up_no_healing(tmp_path: Path):
    """All of what runs dies while a version that never gets ready is waited for."""
    async with kept(tmp_path, health_timeout=3600.0) as bench:
        bad = bench.publish("v2", labels={"health": "500"})
        deploying = asyncio.create_task(bench.deploy(bad), name="deployment")
        await eventually(lambda: "v2" in bench.running())
        store = bench.replica_set.deployer.store
        old = {each.id for each in store.serving}
        for victim in old:
            await bench.host.kill(victim)
        await eventually(lambda: not old & {each.id for each in store.replicas})
        await eventually(lambda: ["v1"] * 3 == bench.serving())
        assert "v1" == await bench.ask()
        assert not deploying.done()
        assert 1 == bench.running().count("v2")

        deploying.cancel()
        await asyncio.wait({deploying}, timeout=60)
        assert deploying.cancelled()
        await eventually(lambda: whole(bench))


async def test_cancelled_rollout_leaves_nothing_that_comes_too_late(tmp_path: Path):
    async with kept(tmp_path) as bench:
        release = bench.publish("v2")
        bench.host.hook = halt = Halt("before", "start")
        deploying = asyncio.create_task(bench.deploy(release), name="deployment")
        await halt.reached.wait()
        deploying.cancel()
        await asyncio.wait({deploying}, timeout=60)
        assert deploying.cancelled()
        halt.proceed.set()
        await bench.replica_set.deployer.launcher.ended()
        await eventually(lambda: whole(bench))
        assert "v1" == await bench.ask()


@pytest.mark.parametrize("call", ["logs", "inspect", "remove"])
async def test_hung_call_for_replica_does_not_delay_others(call: str, tmp_path: Path):
    async with kept(tmp_path) as bench:
        hung, *others = [each.id for each in bench.replica_set.deployer.store.serving]
        proceed = asyncio.Event()

        async def hang(phase: str, what: str, subject: str) -> None:
            if (phase, what, subject) == ("before", call, hung):
                await proceed.wait()

        bench.host.hook = hang
        await bench.host.kill(hung)
        await bench.host.kill(others[0])
        store = bench.replica_set.deployer.store
        await eventually(lambda: others[0] not in {r.id for r in store.serving})
        await eventually(lambda: ["v1"] * 3 == bench.serving())
        proceed.set()
        bench.host.hook = None
        await eventually(lambda: whole(bench))


async def test_pull_of_obsolete_version_does_not_block_healing(tmp_path: Path):
    """The image of what ran cannot be had, and a rollback goes back to v1."""
    async with kept(tmp_path) as bench:
        deployer = bench.replica_set.deployer
        good = bench.state_store.state.running
        release = bench.publish("v2")
        gone = Installed("v2", release.identity, "", 1_000_001.0)
        bench.host.hook = halt = Halt("before", "pull")
        await bench.state_store.change(lambda state: replace(state, running=gone))
        deployer.store.changed.set()
        await halt.reached.wait()

        await bench.state_store.change(lambda state: replace(state, running=good))
        deployer.store.changed.set()
        victim = deployer.store.serving[0].id
        await bench.host.kill(victim)
        await eventually(lambda: victim not in bench.host.held)
        await eventually(lambda: whole(bench))

        assert not halt.proceed.is_set()


def phases(store: ReplicaStore) -> set[tuple[str, Phase]]:
    return {(each.version, each.phase) for each in store.replicas}


@pytest.mark.parametrize("health", ["500", "200"], ids=["not-ready", "serving"])
async def test_engine_that_takes_new_replicas_along_is_no_fault_of_their_version(
    tmp_path: Path, health: str
):
    async with kept(tmp_path, health_timeout=3600.0) as bench:
        restarted = asyncio.Event()

        async def hook(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("before", "start") and "v2" in bench.serving():
                await restarted.wait()

        bench.host.hook = hook
        release = bench.publish("v2", labels={"health": health})
        deploying = asyncio.create_task(bench.deploy(release), name="deployment")
        store = bench.replica_set.deployer.store
        there = Phase.SERVING if health == "200" else Phase.STARTING
        await eventually(lambda: ("v2", there) in phases(store))
        await bench.host.restart()
        restarted.set()
        await eventually(deploying.done)

        exc = deploying.exception()
        assert isinstance(exc, StartFailed)
        assert exc.host
        assert "ended while the engine was away" in str(exc)
        await eventually(lambda: whole(bench))


async def test_end_that_the_engine_cannot_tell_of_is_no_fault_of_a_new_version(
    tmp_path: Path,
):
    async with kept(tmp_path, health_timeout=3600.0) as bench:
        release = bench.publish("v2", labels={"health": "500"})
        deploying = asyncio.create_task(bench.deploy(release), name="deployment")
        await eventually(lambda: "v2" in bench.running())
        store = bench.replica_set.deployer.store
        await eventually(lambda: [r for r in store.replicas if r.version == "v2"])
        new = next(r for r in store.replicas if r.version == "v2")
        bench.host.fail("inspect", *[EngineError("it is going down")] * 3)
        await bench.host.kill(new.id)
        await eventually(deploying.done)

        exc = deploying.exception()
        assert isinstance(exc, StartFailed)
        assert exc.host
