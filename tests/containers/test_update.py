"""Performing an update: what is committed when, and what a death means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dewy.containers.container_spec import ContainerSpec
from dewy.containers.restart_policy import Pacing
from dewy.containers.rollout import Desired, Phase
from dewy.containers.update import Circumstances, Healing, Rollout, UpdateTarget
from dewy.errors import EngineError, StartFailed
from tests.eventually import DEADLINE, eventually, turns
from tests.standins.crews import Bench, benched


@asynccontextmanager
async def prepared(
    root: Path, **given: Any
) -> AsyncIterator[tuple[Bench, ContainerSpec]]:
    """Three replicas of v1, and the recipe of v2."""
    async with benched(root, keep=False, health_path="/up", **given) as bench:
        await bench.deploy(bench.publish("v1"))
        release = bench.publish("v2")
        async with bench.replica_set.image_store.brought(release) as delivery:
            version = await delivery.reserve(1.0)
        replica_set = bench.replica_set
        found = await replica_set.image_store.get(version)
        spec = replica_set.container_specs.of(version, found)
        await replica_set.deployer.launcher.ensure_network(spec)
        yield bench, spec


def rollout(
    bench: Bench,
    container_spec: ContainerSpec,
    parallel: int = 1,
    told: list[str] | None = None,
) -> Rollout:
    deployer = bench.replica_set.deployer
    desired = Desired(container_spec.spec, 3, parallel, beside=True)
    order = UpdateTarget(container_spec, desired, deployer.readiness)
    progress = told.append if told is not None else lambda text: None
    return Rollout(deployer.store, deployer.launcher, deployer.drainer, order, progress)


def healing(bench: Bench, container_spec: ContainerSpec, **given: Any) -> Healing:
    deployer = bench.replica_set.deployer
    order = UpdateTarget(
        container_spec, Desired(container_spec.spec, 3), deployer.readiness
    )
    parts = deployer.store, deployer.launcher, deployer.drainer
    return Healing(*parts, order, Circumstances(**given))


def newest(bench: Bench) -> str:
    """One of v2 that serves."""
    serving = bench.replica_set.deployer.store.serving
    return next(each.id for each in serving if each.version == "v2")


async def end(bench: Bench, container: str) -> None:
    await bench.host.kill(container, 5)
    replica = bench.replica_set.deployer.store.get(container)
    assert replica is not None
    bench.replica_set.deployer.store.lose(replica, 5)


def at_start(number: int, act: Callable[[], Awaitable[None]]) -> Any:
    """A hook that does something before the *number*th container is started."""
    starts = 0

    async def hook(phase: str, call: str, subject: str) -> None:
        nonlocal starts
        starts += (phase, call) == ("before", "start")
        if (phase, call, starts) == ("before", "start", number):
            await act()

    return hook


async def test_update_beside_lets_nothing_leave(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        await rollout(bench, container_spec).run()

        assert ["v1"] * 3 + ["v2"] * 3 == bench.serving()


async def test_no_more_start_at_a_time_than_may(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        most = 0

        async def count(phase: str, call: str, subject: str) -> None:
            nonlocal most
            made = [each.container.labels["dewy.version"] for each in held.values()]
            store = bench.replica_set.deployer.store
            done = [r for r in store.replicas if r.phase >= Phase.READY]
            ready = [each for each in done if each.version == "v2"]
            most = max(most, made.count("v2") - len(ready))

        held = bench.host.held
        bench.host.hook = count
        await rollout(bench, container_spec, parallel=2).run()
        bench.host.hook = None

        assert 2 == most


async def test_a_death_while_others_start_is_the_end_of_a_deployment(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):

        async def one_dies() -> None:
            await eventually(lambda: "v2" in bench.serving())
            bench.host.held[newest(bench)].output.append("good-bye")
            await end(bench, newest(bench))

        bench.host.hook = at_start(2, one_dies)
        with pytest.raises(StartFailed, match="exit status 5 while others") as caught:
            await rollout(bench, container_spec).run()

        assert ("good-bye",) == caught.value.log_tail
        assert ["v1"] * 3 == bench.serving()


async def test_requested_end_of_a_new_replica_is_no_fault_of_its_version(
    tmp_path: Path,
):
    async with prepared(tmp_path) as (bench, container_spec):

        async def one_is_stopped() -> None:
            await eventually(lambda: "v2" in bench.serving())
            replica = bench.replica_set.deployer.store.get(newest(bench))
            assert replica is not None
            replica.asked.set()
            await end(bench, newest(bench))

        bench.host.hook = at_start(2, one_is_stopped)
        with pytest.raises(StartFailed, match="was stopped or removed") as caught:
            await rollout(bench, container_spec).run()

        assert caught.value.host
        assert ["v1"] * 3 == bench.serving()


async def test_new_replica_cut_off_its_network_is_no_fault_of_its_version(
    tmp_path: Path,
):
    async with prepared(tmp_path) as (bench, container_spec):

        async def one_is_cut_off() -> None:
            await eventually(lambda: "v2" in bench.serving())
            store = bench.replica_set.deployer.store
            replica = store.get(newest(bench))
            assert replica is not None
            await bench.shops[replica.id].kill()
            store.recheck(replica)

        bench.host.hook = at_start(2, one_is_cut_off)
        with pytest.raises(StartFailed, match="was not healthy") as caught:
            await rollout(bench, container_spec).run()

        assert caught.value.host
        assert 3 == bench.serving().count("v1")


async def test_a_death_is_made_good_where_nothing_is_at_stake(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):

        async def one_dies() -> None:
            await eventually(lambda: "v2" in bench.serving())
            await end(bench, newest(bench))

        bench.host.hook = at_start(2, one_dies)
        await healing(bench, container_spec).run()

        assert ["v2"] * 3 == bench.serving()


async def test_healing_ends_when_something_else_is_wanted(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        bench.host.calls.clear()
        wanted = {"v2"}
        await healing(
            bench, container_spec, stale=lambda: bool(wanted & {*bench.serving()})
        ).run()

        assert ["v1"] * 3 == [v for v in bench.serving() if v == "v1"]


class EndingPause(Pacing):
    """A pause that ends between the decision not to start and the wait for its end."""

    lefts = (1.0, 0.0)

    @property
    def left(self) -> float:
        self.lefts, left = self.lefts[1:] or (0.0,), self.lefts[0]
        return left


async def test_replicas_start_when_backoff_ends_during_decision(tmp_path: Path):
    """Nothing else happens that would end the wait."""
    async with prepared(tmp_path) as (bench, container_spec):
        run = healing(bench, container_spec, pacing=EndingPause()).run()
        async with asyncio.timeout(DEADLINE):
            await run

        assert ["v2"] * 3 == bench.serving()


async def test_nothing_starts_while_a_death_is_judged(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        held = [True]
        bench.host.calls.clear()
        running = asyncio.create_task(
            healing(bench, container_spec, held=lambda: held[0]).run(), name="healing"
        )
        await turns()
        assert [] == bench.host.calls
        held.clear()
        held.append(False)
        bench.replica_set.deployer.store.changed.set()
        await running

        assert ["v2"] * 3 == bench.serving()


async def test_replica_is_not_waited_for_any_more_once_healing_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whenever that is; whoever heals next, or waits for the replica, is told."""
    async with benched(
        tmp_path, keep=False, health_path="/up", health_timeout=0.1, replicas=1
    ) as bench:
        replica_set = bench.replica_set
        release = bench.publish("v1", labels={"health": "500"})
        async with replica_set.image_store.brought(release) as delivery:
            version = await delivery.reserve(1.0)
        found = await replica_set.image_store.get(version)
        spec = replica_set.container_specs.of(version, found)
        store, launcher = replica_set.deployer.store, replica_set.deployer.launcher
        await launcher.ensure_network(spec)
        reached, stale = asyncio.Event(), False

        async def reach(*_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(launcher, "reach", reach)
        run = healing(bench, spec, stale=lambda: stale).run()
        running = asyncio.create_task(run, name="healing")
        await reached.wait()
        assert {Phase.STARTING} == {each.phase for each in store.replicas}
        stale = True
        store.changed.set()
        known = store.changed.count
        await running

        assert {Phase.UNCHECKED} == {each.phase for each in store.replicas}
        assert known < store.changed.count


async def test_rollout_tells_each_step(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        told: list[str] = []
        await rollout(bench, container_spec, told=told).run()

        steps = ("is starting", "is healthy")
        assert [f"replica {n} of 3 {step}" for n in (1, 2, 3) for step in steps] == told


async def test_new_replicas_that_turned_unhealthy_do_not_take_over(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):

        async def two_turn() -> None:
            store = bench.replica_set.deployer.store
            await eventually(lambda: bench.serving().count("v2") == 2)
            for each in store.serving:
                if each.version == "v2":
                    each.problem = "answered 503"
                    each.mark_unhealthy()

        bench.host.hook = at_start(3, two_turn)
        with pytest.raises(StartFailed, match=r"2 of 3 replicas became .* 503"):
            await rollout(bench, container_spec).run()

        assert bench.serving().count("v1") == 3


async def test_start_failure_does_not_block_other_replicas(tmp_path: Path):
    """It is told, and tried again later; the others come up meanwhile."""
    async with prepared(tmp_path) as (bench, container_spec):
        told: list[str] = []
        bench.host.fail("start", EngineError("no memory"))
        for each in list(bench.host.held):
            await end(bench, each)
        await healing(
            bench, container_spec, told=lambda problem, _: told.append(problem)
        ).run()

        assert ["v2"] * 3 == bench.serving()
        assert "no memory" in told[0]
        assert "" == told[-1]
        creates = sum(call == "create" for call, _ in bench.host.calls)
        assert 3 + 3 + 1 == creates


@pytest.mark.parametrize("parallel", [1, 3])
async def test_cancelled_rollout_leaves_no_replica_task_running(
    parallel: int, tmp_path: Path
):
    async with prepared(tmp_path) as (bench, container_spec):
        reached, proceed = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            reached.set()
            await proceed.wait()

        bench.host.hook = at_start(1, hang)
        before = asyncio.all_tasks()
        running = asyncio.create_task(
            rollout(bench, container_spec, parallel=parallel).run(), name="update"
        )
        await reached.wait()
        running.cancel()
        await asyncio.sleep(0)
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await running

        await bench.replica_set.deployer.launcher.ended()
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        assert set() == {task for task in left if "replica" in task.get_name()}
        starting = [
            r for r in bench.replica_set.deployer.store.replicas if r.version == "v2"
        ]
        assert all(each.phase is Phase.UNCHECKED for each in starting)
        bench.host.hook = None
        await healing(bench, container_spec).run()
        assert ["v2"] * 3 == bench.serving()


async def test_start_failure_aborts_parallel_rollout(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        bench.host.fail("start", *[EngineError("no memory")] * 3)
        with pytest.raises(StartFailed, match="no memory"):
            await rollout(bench, container_spec, parallel=3).run()
        bench.host._faults.clear()

        assert ["v1"] * 3 == bench.serving()


async def test_failed_removal_does_not_block_healing(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        await bench.replica_set.deployer.store.engine.create(
            "dead", container_spec.body(0)
        )
        await bench.replica_set.deployer.store.observe()
        bench.host.fail("remove", EngineError("busy"))
        await healing(bench, container_spec).run()

        assert ["v2"] * 3 == bench.serving()


async def test_replica_restarted_before_its_removal_stays_in_store(
    tmp_path: Path,
):
    """It was dead when that was decided; the engine refuses, for it is not now."""
    async with prepared(tmp_path) as (bench, container_spec):
        store = bench.replica_set.deployer.store
        again = await store.engine.create("again", container_spec.body(0))
        await store.observe()
        await store.engine.start(again)
        bench.host.fail("remove", EngineError("it runs"))
        await healing(bench, container_spec).run()

        assert again in {replica.id for replica in store.replicas}
        assert ["v2"] * 3 == bench.serving()
