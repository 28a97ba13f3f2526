"""Starting one replica, and what it takes to be ready."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Endpoint
from dewy.containers.container_spec import ContainerSpec
from dewy.containers.health import HealthCheck
from dewy.containers.launcher import ReadinessProbe
from dewy.containers.replica import Replica
from dewy.containers.rollout import Phase
from dewy.containers.upstream import DIRECT, Upstream, Upstreams
from dewy.errors import EngineError, StartFailed
from dewy.logs import detail_of
from tests.eventually import eventually, turns
from tests.standins.crews import Bench, Halt, benched

SOON = ReadinessProbe(HealthCheck("/up"), 60.0, 0.0)


@asynccontextmanager
async def prepared(
    root: Path, **image: Any
) -> AsyncIterator[tuple[Bench, ContainerSpec]]:
    """A version whose image is here, and of which nothing runs."""
    async with benched(root, keep=False) as bench:
        release = bench.publish("v1", **image)
        async with bench.replica_set.image_store.brought(release) as delivery:
            version = await delivery.reserve(1.0)
        replica_set = bench.replica_set
        found = await replica_set.image_store.get(version)
        spec = replica_set.container_specs.of(version, found)
        await replica_set.deployer.launcher.ensure_network(spec)
        yield bench, spec


async def started(bench: Bench, container_spec: ContainerSpec) -> Replica:
    return await bench.replica_set.deployer.launcher.start(container_spec, 0)


async def halted(
    bench: Bench, container_spec: ContainerSpec
) -> tuple[Halt, asyncio.Task[Replica]]:
    """One that is being started, as the engine is asked to."""
    bench.host.hook = halt = Halt("before", "start")
    starting = asyncio.create_task(started(bench, container_spec), name="start")
    await halt.reached.wait()
    return halt, starting


async def test_container_under_creation_is_no_replica_though_its_name_is_wanted_twice(
    tmp_path: Path,
):
    """A rollout and the healing beside it start replicas within the same second."""
    async with prepared(tmp_path) as (bench, container_spec):
        store = bench.replica_set.deployer.store
        halt, starting = await halted(bench, container_spec)
        bench.host.hook = None
        other = await started(bench, container_spec)
        await store.observe()

        assert [other] == store.replicas
        halt.proceed.set()
        assert {other, await starting} == set(store.replicas)


async def test_waiting_for_readiness_leaves_a_serving_replica_in_service(
    tmp_path: Path,
):
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        store = bench.replica_set.deployer.store
        launcher = bench.replica_set.deployer.launcher
        await launcher.until_ready(replica, SOON)
        store.admit([replica])
        backends = replica.backends
        await launcher.until_ready(replica, SOON)
        store.admit([replica])

        assert (Phase.SERVING, backends) == (replica.phase, replica.backends)


def health(bench: Bench, replica: Replica, says: str) -> None:
    bench.host.set_health(replica.id, says)


async def test_replica_is_ready_once_probe_succeeds(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        assert Phase.STARTING is replica.phase
        assert replica.name.startswith("shop-")
        await bench.replica_set.deployer.launcher.until_ready(replica, SOON)

        assert Phase.READY is replica.phase
        assert replica.upstream is not None
        assert "published" == replica.upstream.route
        assert [] == bench.serving()


async def test_unreachable_own_address_falls_back_to_published_port(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """And it is told once why its own address is not used."""
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    # Bound, it is nobody else's, and refuses.
    away = Upstream(DIRECT, (Endpoint(*silent.getsockname()),))

    class Refused(Upstreams):
        async def of(self, container, ports, wanted):
            return [away, *await super().of(container, ports, wanted)]

    with silent:
        async with prepared(tmp_path) as (bench, container_spec):
            launcher = bench.replica_set.deployer.launcher
            launcher.upstreams = Refused(bench.replica_set.deployer.store.engine)
            replica = await started(bench, container_spec)
            await launcher.until_ready(replica, SOON)
            await launcher.ask(replica, SOON.check)

            assert replica.upstream is not None
            assert "published" == replica.upstream.route
            assert "refused" in replica.detour
    assert 1 == caplog.text.count("Replica does not answer at its own address")


async def test_replica_never_listening_fails_with_cause_and_log_tail(tmp_path: Path):
    async with prepared(tmp_path, labels={"listens": "no"}) as (bench, container_spec):
        replica = await started(bench, container_spec)
        bench.host.held[replica.id].output += ["warming up", "still warming up"]
        with pytest.raises(StartFailed) as caught:
            await bench.replica_set.deployer.launcher.until_ready(
                replica, replace(SOON, timeout=0.1)
            )

        assert "was not healthy in 0.1 s" in str(caught.value)
        assert "connection refused" in str(caught.value)
        assert ("warming up", "still warming up") == caught.value.log_tail
        assert "still warming up" == detail_of(caught.value)


async def test_replica_exiting_during_probe_fails_immediately(tmp_path: Path):
    async with prepared(tmp_path, labels={"health": "500"}) as (bench, container_spec):
        replica = await started(bench, container_spec)
        launcher, store = (
            bench.replica_set.deployer.launcher,
            bench.replica_set.deployer.store,
        )
        waiting = asyncio.create_task(launcher.until_ready(replica, SOON), name="wait")
        await eventually(lambda: replica.problem)
        await bench.host.kill(replica.id, 3)
        store.lose(replica, 3)

        with pytest.raises(StartFailed, match="ended with exit status 3 before"):
            await waiting


async def test_dead_replica_fails_only_after_exit_status_is_known(tmp_path: Path):
    """The kernel told of its death; what it was, the engine tells at its leisure."""
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        hasty, launcher = (
            ReadinessProbe(HealthCheck("/up"), 0.0, 0.0),
            bench.replica_set.deployer.launcher,
        )
        replica.dead.set()
        waiting = asyncio.create_task(launcher.until_ready(replica, hasty), name="wait")
        await turns()
        assert not waiting.done()
        await bench.host.kill(replica.id, 7)
        bench.replica_set.deployer.store.lose(replica, 7)
        with pytest.raises(StartFailed, match="ended with exit status 7 before"):
            await waiting


async def test_an_end_that_no_event_told_is_found(tmp_path: Path):
    async with prepared(tmp_path, labels={"health": "500"}) as (bench, container_spec):
        replica = await started(bench, container_spec)
        launcher = bench.replica_set.deployer.launcher
        waiting = asyncio.create_task(launcher.until_ready(replica, SOON), name="wait")
        await eventually(lambda: replica.problem)
        await bench.host.kill(replica.id, 137, oom_killed=True)

        with pytest.raises(StartFailed, match="killed for its use of memory"):
            await waiting


async def test_replica_exiting_right_after_start_fails(tmp_path: Path):
    async with prepared(tmp_path, exits=4) as (bench, container_spec):
        replica = await started(bench, container_spec)
        with pytest.raises(StartFailed, match="exit status 4"):
            await bench.replica_set.deployer.launcher.until_ready(replica, SOON)


async def test_failed_probe_restarts_min_healthy_time(tmp_path: Path):
    """An answer that is bad in between starts the time anew."""
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        shop = bench.shops[replica.id]
        launcher = bench.replica_set.deployer.launcher
        waits = replace(SOON, min_healthy=0.3)
        waiting = asyncio.create_task(launcher.until_ready(replica, waits), name="wait")
        await eventually(lambda: shop.connections >= 1)
        shop.health = 500
        await eventually(lambda: replica.problem)
        shop.health, before = 200, shop.connections
        await waiting

        # The first good answer begins the time, and is not the end of it.
        assert shop.connections >= before + 2


async def test_replica_answering_500_until_timeout_fails(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        bench.shops[replica.id].health = 500
        waits = ReadinessProbe(HealthCheck("/up"), 0.1, 0.1)
        with pytest.raises(StartFailed, match="answered 500"):
            await bench.replica_set.deployer.launcher.until_ready(replica, waits)


@pytest.mark.parametrize("runs_healthchecks", [True, False])
async def test_the_images_own_check_counts(runs_healthchecks: bool, tmp_path: Path):
    """Docker runs it; of Podman it is asked for."""
    async with prepared(tmp_path, healthcheck=True) as (bench, container_spec):
        engine: Any = bench.replica_set.deployer.store.engine
        engine.runs_healthchecks = runs_healthchecks
        replica = await started(bench, container_spec)
        launcher = bench.replica_set.deployer.launcher
        waiting = asyncio.create_task(launcher.until_ready(replica, SOON), name="wait")
        await eventually(lambda: "HEALTHCHECK" in replica.problem)
        health(bench, replica, "unhealthy")
        await eventually(lambda: "says unhealthy" in replica.problem)
        assert not waiting.done()
        health(bench, replica, "healthy")
        await waiting

        assert Phase.READY is replica.phase


async def test_a_name_that_is_taken_is_passed_over(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        fixed = replace(container_spec, base="taken")
        names = [fixed.name(0, attempt) for attempt in range(3)]
        engine = bench.replica_set.deployer.store.engine
        for name in names:
            await engine.create(name, container_spec.body(9))
        replica = await bench.replica_set.deployer.launcher.start(fixed, 0)

        assert replica.name not in names


async def test_without_any_free_name_nothing_is_left(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        fixed_name = "always"

        class Stubborn(ContainerSpec):
            def name(self, index: int, attempt: int = 0) -> str:
                return fixed_name

        stubborn = Stubborn(
            container_spec.version,
            container_spec.spec,
            container_spec.ports,
            container_spec.healthcheck,
            container_spec.network,
            container_spec.base,
            container_spec.body,
            container_spec.create,
        )
        await bench.replica_set.deployer.store.engine.create(
            fixed_name, container_spec.body(9)
        )
        with pytest.raises(StartFailed, match="every name tried is taken"):
            await started(bench, stubborn)

        assert [fixed_name] == [
            each.container.name for each in bench.host.held.values()
        ]


@pytest.mark.parametrize("call", ["start", "inspect"])
async def test_replica_refused_by_engine_is_cleaned_up(call: Any, tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        bench.host.fail(call, EngineError("no such device"))
        with pytest.raises(StartFailed, match="replica 0: no such device"):
            await started(bench, container_spec)

        assert {} == bench.host.held
        assert [] == bench.replica_set.deployer.store.replicas
        await bench.replica_set.deployer.store.observe()
        assert (await started(bench, container_spec)).container.running


async def called_off(starting: asyncio.Task[Replica]) -> None:
    starting.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await starting


async def test_start_that_is_called_off_waits_for_no_engine(tmp_path: Path):
    """The replica is known as soon as the engine has made it, to be ended by others."""
    async with prepared(tmp_path) as (bench, container_spec):
        halt, starting = await halted(bench, container_spec)
        await called_off(starting)
        store = bench.replica_set.deployer.store
        assert [] == store.replicas
        halt.proceed.set()
        await bench.replica_set.deployer.launcher.ended()

        assert [Phase.UNCHECKED] == [r.phase for r in store.replicas]


async def test_late_replica_is_passed_to_discard_callback(
    tmp_path: Path,
):
    async with prepared(tmp_path) as (bench, container_spec):
        halt, starting = await halted(bench, container_spec)
        await called_off(starting)
        launcher = bench.replica_set.deployer.launcher
        ended: list[Replica] = []
        launcher.discard(container_spec.spec, ended.append)
        launcher.discard("another", lambda replica: pytest.fail("not that one"))
        halt.proceed.set()
        await eventually(lambda: ended)

        assert bench.replica_set.deployer.store.replicas == ended


async def test_stop_cancels_unfinished_engine_call(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        _, starting = await halted(bench, container_spec)
        await called_off(starting)
        async with asyncio.timeout(60):
            await bench.replica_set.deployer.launcher.stop()
        bench.host.hook = None

        names = {task.get_name() for task in asyncio.all_tasks()}
        assert "replica 0 at the engine" not in names


async def test_health_timeout_includes_last_question(tmp_path: Path):
    """An application that takes connections and never answers is no way around it."""
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        bench.shops[replica.id].answers.clear()
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(StartFailed, match="not healthy in 1 s"):
            await bench.replica_set.deployer.launcher.until_ready(
                replica, replace(SOON, timeout=1.0)
            )

        assert loop.time() - before < 3.0
        bench.shops[replica.id].answers.set()


async def test_replica_that_served_and_has_no_address_is_lost_at_once(tmp_path: Path):
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        replica.served = True
        bench.host.held[replica.id].change(addresses={}, published={})
        await bench.replica_set.deployer.store.observe()
        async with asyncio.timeout(30):
            with pytest.raises(StartFailed, match="no address"):
                await bench.replica_set.deployer.launcher.until_ready(replica, SOON)


async def test_answer_at_an_address_lost_meanwhile_does_not_count(tmp_path: Path):
    """Another container may have it by then, and be the one that answers."""
    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        replica.served = True
        shop = bench.shops[replica.id]
        shop.answers.clear()
        launcher = bench.replica_set.deployer.launcher
        waiting = asyncio.create_task(launcher.until_ready(replica, SOON))
        await eventually(lambda: shop.connections)
        bench.host.held[replica.id].change(addresses={}, published={})
        await bench.replica_set.deployer.store.observe()
        shop.answers.set()

        async with asyncio.timeout(30):
            with pytest.raises(StartFailed, match="no address"):
                await waiting


async def test_an_engine_that_stumbles_is_asked_again(tmp_path: Path):
    async with prepared(tmp_path, healthcheck=True) as (bench, container_spec):
        replica = await started(bench, container_spec)
        health(bench, replica, "healthy")
        bench.host.fail("check_health", EngineError("it hangs"))
        await bench.replica_set.deployer.launcher.until_ready(replica, SOON)

        assert Phase.READY is replica.phase


async def test_an_engine_that_stays_silent_ends_the_waiting(tmp_path: Path):
    async with prepared(tmp_path, healthcheck=True) as (bench, container_spec):
        replica = await started(bench, container_spec)
        bench.host.fail("check_health", *[EngineError("it hangs")] * 100)
        with pytest.raises(StartFailed, match=r"not healthy in 0\.1 s: it hangs"):
            await bench.replica_set.deployer.launcher.until_ready(
                replica, replace(SOON, timeout=0.1)
            )


async def test_replica_that_no_descriptor_was_left_to_ask_does_not_fail_by_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def short(endpoint: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with prepared(tmp_path) as (bench, container_spec):
        replica = await started(bench, container_spec)
        monkeypatch.setattr("dewy.containers.health._connected", short)
        with pytest.raises(StartFailed, match="too many open files") as caught:
            await bench.replica_set.deployer.launcher.until_ready(
                replica, replace(SOON, timeout=0.1)
            )

        assert caught.value.host
