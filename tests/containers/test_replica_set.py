"""All that belongs to the replicas of an application, together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Settings
from dewy.containers import restart_policy
from dewy.containers.drainer import Timeouts
from dewy.containers.options.arguments import RunOptions
from dewy.containers.replica_set import timeouts
from tests.eventually import eventually, turns
from tests.standins.crews import Bench, Halt, benched

QUICK: dict[str, Any] = {"health_path": "/up"}


def whole(bench: Bench, count: int) -> bool:
    wanted = ["v1"] * count
    return wanted == bench.serving() == bench.running()


async def test_more_and_fewer_replicas_roll(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        old = set(bench.host.held)
        for count in (5, 2):
            changed = replace(bench.replica_set.settings, replicas=count)
            bench.replica_set.renew(changed, RunOptions())
            await eventually(lambda n=count: whole(bench, n))

        await eventually(lambda: set(bench.host.held) <= old)
        assert [] == bench.deaths


async def test_replica_count_changed_during_replacement_is_applied(
    tmp_path: Path,
):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        changed = replace(bench.replica_set.settings, replicas=4)

        async def renew(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("before", "start"):
                bench.replica_set.renew(changed, RunOptions())

        bench.host.hook = renew
        await bench.host.kill(bench.replica_set.deployer.store.serving[0].id)
        await eventually(lambda: whole(bench, 4))


async def test_changed_options_roll_out_without_losing_capacity(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        old = set(bench.host.held)
        fewest = 3

        async def watch(phase: str, call: str, subject: str) -> None:
            nonlocal fewest
            fewest = min(fewest, len(bench.serving()))

        bench.host.hook = watch
        changed = replace(bench.replica_set.settings, cmd=("serve", "--loud"))
        assert not bench.replica_set.renew(changed, RunOptions())
        await eventually(lambda: whole(bench, 3) and not old & set(bench.host.held))

        assert 3 == fewest


async def test_failing_options_keep_serving_replicas(tmp_path: Path):
    async with benched(tmp_path, **QUICK, health_timeout=0.1) as bench:
        await bench.deploy(bench.publish("v1"))
        old = {each.id for each in bench.replica_set.deployer.store.serving}
        changed = replace(bench.replica_set.settings, health_path="/", cmd=("broken",))

        async def refuse(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("after", "start"):
                await bench.host.kill(subject, 2)

        bench.host.hook = refuse
        bench.replica_set.renew(changed, RunOptions())
        await eventually(lambda: bench.troubles)
        bench.host.hook = None

        assert old == {each.id for each in bench.replica_set.deployer.store.serving}
        assert "exit status 2" in bench.troubles[0]
        assert any(
            "replicas are missing" in each for each in bench.replica_set.degraded()
        )


async def test_reloaded_health_fall_counts_for_serving_replicas(tmp_path: Path):
    given = {**QUICK, "health_fall": 10**6, "health_interval": 0.01}
    async with benched(tmp_path, **given) as bench:
        await bench.deploy(bench.publish("v1"))
        for shop in bench.shops.values():
            shop.health = 503
        sick = bench.replica_set.deployer.store.serving[0]
        await eventually(lambda: sick.problem)
        changed = replace(bench.replica_set.settings, health_fall=1)
        bench.replica_set.renew(changed, RunOptions())

        await eventually(lambda: sick.backends[0].ejected)


async def test_leaving_leaves_the_containers(tmp_path: Path):
    async with benched(tmp_path, **QUICK, on_exit="leave") as bench:
        await bench.deploy(bench.publish("v1"))
    assert ["v1"] * 3 == bench.running()

    async with benched(tmp_path, bench.host, **QUICK) as bench:
        assert whole(bench, 3)
    assert {} == bench.host.held


async def test_stopping_removes_replica_being_created(tmp_path: Path):
    """The engine goes on with what it was asked for."""
    async with benched(tmp_path, **QUICK) as bench:
        bench.host.hook = halt = Halt("after", "create")
        deploying = asyncio.create_task(
            bench.deploy(bench.publish("v1")), name="deployment"
        )
        await halt.reached.wait()
        deploying.cancel()
        await asyncio.wait({deploying}, timeout=60)
        assert deploying.cancelled()
        leaving = asyncio.create_task(bench.replica_set.leave(), name="leave")
        await turns()
        assert not leaving.done()
        halt.proceed.set()
        await leaving
        bench.host.hook = None

    assert {} == bench.host.held
    assert [] == [name for name in bench.host.networks if name.startswith("dewy-")]


async def test_stopping_can_be_cut_short_while_the_engine_hangs(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        bench.host.hook = halt = Halt("before", "stop")
        leaving = asyncio.create_task(bench.replica_set.leave(), name="leave")
        await halt.reached.wait()
        leaving.cancel()
        await asyncio.wait({leaving}, timeout=60)
        assert leaving.cancelled()
        bench.host.hook = None


async def test_containers_of_another_dewy_survive_shutdown(tmp_path: Path):
    """A container of the same application that another dewy made meanwhile."""
    async with benched(tmp_path, **QUICK, keep=False) as bench:
        await bench.deploy(bench.publish("v1"))
        store = bench.replica_set.deployer.store
        spec = bench.host.held[store.serving[0].id].spec
        labels = {**spec["Labels"], "dewy.root": "here:/srv/another"}
        theirs = await store.engine.create("theirs", {**spec, "Labels": labels})
        await store.engine.start(theirs)
        await bench.replica_set.leave()

        assert {theirs} == set(bench.host.held)
        await bench.host.kill(theirs)


async def test_shutdown_refuses_new_and_drains_open_connections(tmp_path: Path):
    """And whoever is connected is waited for."""
    given = {**QUICK, "replicas": 1, "drain_time": 3600.0}
    async with benched(tmp_path, **given) as bench:
        await bench.deploy(bench.publish("v1"))
        where = "127.0.0.1", bench.proxy.ports[0].endpoint.port
        reader, writer = await asyncio.open_connection(*where)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nv1")
        leaving = asyncio.create_task(bench.replica_set.leave(), name="leave")
        await eventually(lambda: not bench.serving())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*where)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nv1")
        assert ["v1"] == bench.running()
        writer.close()
        await leaving

    assert {} == bench.host.held


async def test_dead_replica_is_removed_on_shutdown(tmp_path: Path):
    async with benched(tmp_path, **QUICK, keep=False) as bench:
        await bench.deploy(bench.publish("v1"))
        await bench.host.kill(next(iter(bench.host.held)))

    assert {} == bench.host.held


async def test_missing_replica_is_reported_as_degraded(tmp_path: Path):
    async with benched(tmp_path, **QUICK, keep=False) as bench:
        await bench.deploy(bench.publish("v1"))
        assert [] == bench.replica_set.degraded()
        victim = bench.replica_set.deployer.store.serving[0]
        bench.replica_set.deployer.store.lose(victim, 1)
        bench.replica_set.pausing.pause()

        told = ["2 of 3 replicas serve"]
        assert told == bench.replica_set.degraded()
        names = [each["name"] for each in bench.replica_set.containers()]
        assert (3, sorted(names)) == (len(names), names)


def test_the_options_of_run_know_better_how_long_a_stop_takes(tmp_path: Path):
    settings = Settings(
        command="container",
        root=tmp_path,
        cache_dir=tmp_path,
        drain_time=7,
        stop_timeout=8,
    )

    assert Timeouts(7, 8) == timeouts(settings, RunOptions())
    assert Timeouts(7, 0) == timeouts(settings, RunOptions(stop_timeout=0))


async def test_traffic_of_each_replica_is_told(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        for _ in range(6):
            await bench.ask()
        told = bench.replica_set.containers()

        asked = len(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [2, 2, 2] == [each["connections_total"] for each in told]
        assert [2 * asked] * 3 == [each["bytes_up"] for each in told]
        assert all(each["bytes_down"] > 0 for each in told)


async def test_replicas_that_other_options_would_replace_are_named(
    tmp_path: Path,
) -> None:
    """Those that serve now; nothing happens to them."""
    async with benched(tmp_path) as bench:
        await bench.deploy(bench.publish("v1"))
        replica_set, options = bench.replica_set, RunOptions()
        other = replace(replica_set.settings, cmd=("other",))
        names = sorted(r.name for r in replica_set.deployer.store.serving)

        assert names == await replica_set.outdated(other, options)
        assert [] == await replica_set.outdated(replica_set.settings, options)
        assert not replica_set.differs(options)


async def test_failures_with_old_options_do_not_delay_new_options(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        bench.replica_set.deployer.pacing.failed()
        assert bench.replica_set.deployer.pacing.left
        changed = replace(bench.replica_set.settings, cmd=("serve",))
        bench.replica_set.renew(changed, RunOptions())

        assert 0.0 == bench.replica_set.deployer.pacing.left


async def test_status_is_degraded_while_replicas_of_another_version_serve(
    tmp_path: Path,
):
    """As after a rollback whose version is still being started."""
    async with benched(tmp_path, **QUICK, keep=False) as bench:
        v1 = await bench.deploy(bench.publish("v1"))
        await bench.deploy(bench.publish("v2"))
        assert [] == bench.replica_set.degraded()
        await bench.state_store.change(lambda state: replace(state, running=v1))

        told = "0 of 3 replicas serve; others serve v2"
        assert [told] == bench.replica_set.degraded()


async def test_options_changed_during_deployment_apply_afterwards(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        bench.host.hook = halt = Halt("before", "start")
        deploying = asyncio.create_task(
            bench.deploy(bench.publish("v2")), name="deployment"
        )
        await halt.reached.wait()
        changed = replace(bench.replica_set.settings, cmd=("serve", "--loud"))
        bench.replica_set.renew(changed, RunOptions())
        halt.proceed.set()
        await deploying

        await eventually(lambda: ["v2"] * 3 == bench.serving() == bench.running())
        await eventually(lambda: {("serve", "--loud")} == commands(bench), 10)


def commands(bench: Bench) -> set[tuple[str, ...]]:
    return {tuple(held.spec.get("Cmd") or ()) for held in bench.host.held.values()}


async def test_failing_options_heal_dead_replicas_with_old_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Replicas that die meanwhile come back with the options that worked."""
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    async with benched(tmp_path, **QUICK, health_timeout=0.2) as bench:
        await bench.deploy(bench.publish("v1"))
        old = {each.id for each in bench.replica_set.deployer.store.serving}

        async def refuse(phase: str, call: str, subject: str) -> None:
            held = bench.host.held.get(subject)
            if (phase, call) == ("after", "start") and held and held.spec.get("Cmd"):
                await bench.host.kill(subject, 2)

        bench.host.hook = refuse
        changed = replace(bench.replica_set.settings, cmd=("broken",))
        bench.replica_set.renew(changed, RunOptions())
        await eventually(lambda: bench.troubles)
        for each in old:
            await bench.host.kill(each)
        await eventually(lambda: not old & set(bench.host.held))
        await eventually(lambda: ["v1"] * 3 == bench.serving(), 20)
        assert "v1" == await bench.ask()
        assert any("are missing" in each for each in bench.replica_set.degraded())

        bench.host.hook = None
        await eventually(lambda: {("broken",)} == commands(bench))
        await eventually(lambda: ["v1"] * 3 == bench.serving() == bench.running())
