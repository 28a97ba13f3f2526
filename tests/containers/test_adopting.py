"""What an earlier dewy left serves on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import PortMapping
from dewy.containers import deployer
from dewy.containers.replica import Replica
from dewy.containers.running_version import identify
from dewy.system import Clock
from tests.eventually import DEADLINE, eventually
from tests.standins.crews import REPOSITORY, Halt, Shop, benched, original
from tests.standins.memory_host import MemoryHost

QUICK: dict[str, Any] = {"health_path": "/up"}


async def test_replicas_left_by_earlier_dewy_are_adopted(tmp_path: Path):
    async with benched(tmp_path, on_exit="leave") as bench:
        await bench.deploy(bench.publish("v1"))
        left = set(bench.host.held)
        host = bench.host
    host.calls.clear()
    async with benched(tmp_path, host, keep=False) as bench:
        assert ["v1"] * 3 == bench.serving()
        assert left == set(host.held)
        assert "create" not in {call for call, _ in host.calls}
        assert "v1" == await bench.ask()


async def test_without_a_state_all_that_answer_serve(tmp_path: Path):
    async with benched(tmp_path, on_exit="leave", **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        host = bench.host
    (tmp_path / ".dewy" / "state.json").unlink()
    async with benched(tmp_path, host, **QUICK) as bench:
        assert ["v1"] * 3 == bench.serving()
        old = set(host.held)
        reference = host.registry[f"{REPOSITORY}:v1"].image.digests[0]
        digest = reference.partition("@")[2]
        release = replace(bench.publish("v1"), identity=digest)
        await bench.deploy(release)

        assert old == set(host.held)


async def test_adoption_prefers_replicas_of_running_version(tmp_path: Path):
    async with benched(tmp_path, on_exit="leave", **QUICK) as bench:
        first = await bench.deploy(bench.publish("v1"))
        await bench.deploy(bench.publish("v2"))
        await bench.replica_set.drainer.ended()
        await bench.state_store.change(lambda state: replace(state, running=first))
        host = bench.host
        await bench.replica_set.deployer.reconcile()
        await eventually(lambda: "v1" in bench.running())
    async with benched(tmp_path, host, keep=False, **QUICK) as bench:
        assert {"v1"} == set(bench.serving())


async def test_ports_are_those_a_container_says(tmp_path: Path):
    """After EXPOSE changed, the old replicas are still reached at their own port."""
    mappings = (PortMapping(8080),)
    async with benched(tmp_path, on_exit="leave", port_mappings=mappings) as bench:
        await bench.deploy(bench.publish("v1", ports=(7000,)))
        host = bench.host
    async with benched(tmp_path, host, port_mappings=mappings) as bench:
        assert ["v1"] * 3 == bench.serving()
        await bench.deploy(bench.publish("v2", ports=(9000,)))
        assert ["v2"] * 3 == bench.serving()
        await eventually(lambda: ["v2"] * 3 == bench.running())
        backends = bench.proxy.ports[0].backends
        await eventually(lambda: len(bench.proxy.ports[0].backends) == 3)
        assert backends


async def test_adopted_version_is_identified_without_state(tmp_path: Path):
    """Else it could not be healed, nor gone back to, before the next version."""
    async with benched(tmp_path, on_exit="leave") as bench:
        deployed = await bench.deploy(bench.publish("v1"))
        host = bench.host
    (tmp_path / ".dewy" / "state.json").unlink()
    async with benched(tmp_path, host, keep=False) as bench:
        found = await identify(bench.replica_set.deployer.store, 5.0)

        assert ["v1"] * 3 == bench.serving()
        assert found is not None
        assert (deployed.tag, deployed.identity, "", 5.0) == (
            found.tag,
            found.identity,
            found.directory,
            found.at,
        )


async def test_replicas_of_failed_version_are_removed_not_adopted(tmp_path: Path):
    """Nor left behind, when nothing ran before it."""
    async with benched(tmp_path, on_exit="leave", keep=False) as bench:
        failed = await bench.deploy(bench.publish("v1"))
        host, state_store = bench.host, bench.state_store
        await state_store.change(lambda state: replace(state, running=None))
        await state_store.condemn("v1", failed.identity, "bad", Clock(), traffic=False)
    async with benched(tmp_path, host) as bench:
        assert [] == bench.serving()
        await eventually(lambda: not host.held)


async def test_failed_version_serves_until_rollback_target_is_ready(tmp_path: Path):
    """Killed right after the verdict: the bad ones are all there is to serve."""
    async with benched(tmp_path, on_exit="leave", keep=False, **QUICK) as bench:
        good = await bench.deploy(bench.publish("v1"))
        bad = await bench.deploy(bench.publish("v2"))
        await bench.replica_set.drainer.ended()
        host = bench.host
        await bench.state_store.condemn(
            "v2", bad.identity, "died", Clock(), traffic=True, back=good
        )
    host.calls.clear()
    async with benched(tmp_path, host, **QUICK) as bench:
        assert ["v2"] * 3 == bench.serving()
        assert "create" not in {call for call, _ in host.calls}
        await eventually(lambda: ["v1"] * 3 == bench.serving() == bench.running())


@pytest.mark.parametrize("change", ["one more", "one fewer"])
async def test_adopted_replicas_keep_their_ports_until_replaced(
    change: str, tmp_path: Path
):
    """What is left serves the ports it has, and no other, until it is replaced."""
    shop, metrics = PortMapping(8080, 80), PortMapping(7070, 9090)
    before, after = (shop,), (metrics, shop)
    if change == "one fewer":
        before, after = after, before
    async with benched(tmp_path, on_exit="leave", port_mappings=before) as bench:
        await bench.deploy(bench.publish("v1"))
        host = bench.host
    async with benched(tmp_path, host, answered=False, port_mappings=after) as bench:
        serving = bench.replica_set.deployer.store.serving
        place = after.index(shop)

        assert [{place: 80}] * 3 == [each.ports for each in serving]
        told = [len(port.serving) for port in bench.proxy.ports]
        assert [3 * (n == place) for n in range(len(after))] == told
        assert bench.replica_set.reconciler is not None
        bench.replica_set.reconciler.registry_answered()
        await eventually(lambda: all(len(p.serving) == 3 for p in bench.proxy.ports))
        await eventually(lambda: not any(h in left(serving) for h in host.held))


def left(replicas: list[Replica]) -> set[str]:
    return {each.id for each in replicas}


async def test_those_of_the_original_serve_and_are_replaced_once(tmp_path: Path):
    """It knew neither networks of applications nor digests, specs or ports."""
    host = MemoryHost(str(tmp_path))
    ports = (PortMapping(443, 8443), PortMapping(8080))
    leaves: dict[str, Any] = {"on_exit": "leave", "keep": False}
    async with benched(tmp_path, host, **leaves, port_mappings=ports) as bench:
        bench.publish("v1", ports=(8080,))
        for index in range(3):
            await original(host, index)
    host.calls.clear()
    async with benched(tmp_path, host, answered=False, port_mappings=ports) as bench:
        deployer = bench.replica_set.deployer
        assert [{0: 8443, 1: 8080}] * 3 == [r.ports for r in deployer.store.serving]
        assert "create" not in {call for call, _ in host.calls}
        assert "v1" == await bench.ask()
        found = await identify(deployer.store, 5.0)
        assert found is not None
        assert found.identity == digest_of(host, "v1")
        await bench.state_store.change(lambda state: state.deployed(found, 7))
        old = set(host.held)
        assert bench.replica_set.reconciler is not None
        bench.replica_set.reconciler.registry_answered()
        await eventually(lambda: len(host.held) == 3 and not old & set(host.held))
        assert ["v1"] * 3 == bench.serving()
        await deployer.reconcile()
    assert 3 == sum(call == "create" for call, _ in host.calls)


def digest_of(host: MemoryHost, tag: str) -> str:
    """Of what is published under *tag*."""
    return host.registry[f"{REPOSITORY}:{tag}"].image.digests[0].partition("@")[2]


@pytest.mark.parametrize("known", [True, False])
async def test_unhealthy_replicas_serve_while_nothing_else_does(
    known: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """An application that turns the check away is better than no application."""
    async with benched(tmp_path, on_exit="leave", keep=False) as bench:
        await bench.deploy(bench.publish("v1", labels={"health": "400"}))
        host = bench.host
    if not known:
        (tmp_path / ".dewy" / "state.json").unlink()
    host.calls.clear()
    given: dict[str, Any] = {**QUICK, "health_interval": 0.01}
    async with benched(tmp_path, host, answered=False, **given) as bench:
        assert ["v1"] * 3 == bench.serving()
        assert "v1" == await bench.ask()
        assert "Unhealthy replica serves, since no other does" in caplog.text
        assert "answered 400" in bench.replica_set.degraded()[0]
        assert "create" not in {call for call, _ in host.calls}

        for held in host.held.values():
            assert isinstance(held.application, Shop)
            held.application.health = 200
        serving = bench.replica_set.deployer.store.serving
        await eventually(lambda: all(r.health_tracker.healthy for r in serving))
        assert not any(backend.ejected for backend in bench.proxy.ports[0].backends)


@pytest.mark.parametrize("health", ["starting", "unhealthy"])
async def test_image_that_calls_itself_unhealthy_serves_while_nothing_else_does(
    health: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The original did not look at an image's HEALTHCHECK."""
    async with benched(tmp_path, on_exit="leave", keep=False) as bench:
        await bench.deploy(bench.publish("v1"))
        host = bench.host
    for name in host.held:
        host.set_health(name, health)
    async with benched(tmp_path, host, keep=False) as bench:
        assert ["v1"] * 3 == bench.serving()
        assert "v1" == await bench.ask()
        assert "HEALTHCHECK" in bench.replica_set.degraded()[0]
    assert "Unhealthy replica serves, since no other does" in caplog.text


async def test_healthcheck_that_hangs_does_not_hold_up_adoption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deployer, "ADOPTION", 2.0)
    async with benched(tmp_path, on_exit="leave", keep=False) as bench:
        await bench.deploy(bench.publish("v1"))
        host = bench.host
    for name in host.held:
        host.set_health(name, "healthy")
    host.hook = hangs = Halt("before", "check_health")
    async with asyncio.timeout(DEADLINE):
        async with benched(tmp_path, host, keep=False) as bench:
            assert hangs.reached.is_set()
            assert ["v1"] * 3 == bench.serving()
            assert "v1" == await bench.ask()
            hangs.proceed.set()


async def test_healthy_replica_of_another_version_is_preferred(tmp_path: Path):
    async with benched(tmp_path, on_exit="leave", keep=False, replicas=1) as bench:
        await bench.deploy(bench.publish("v0"))
        rollout = bench.publish("v1", labels={"health": "400"})
        with pytest.raises(KeyError):
            async with bench.replica_set.image_store.brought(rollout) as delivery:
                target = await delivery.reserve(1.0)
                await bench.state_store.change(lambda s: s.deployed(target, 7))
                raise KeyError
        host = bench.host
    async with benched(tmp_path, host, keep=False, replicas=1, **QUICK) as bench:
        assert ["v0"] == bench.serving()


async def test_replica_that_refuses_connections_is_not_adopted(tmp_path: Path):
    async with benched(tmp_path, on_exit="leave", keep=False) as bench:
        await bench.deploy(bench.publish("v1"))
        host = bench.host
        for shop in bench.shops.values():
            await shop.kill()
    async with benched(tmp_path, host, keep=False, **QUICK) as bench:
        assert [] == bench.serving()
        for container in list(host.held):
            await host.kill(container)


async def test_container_of_another_root_that_came_later_is_left_alone(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        store = bench.replica_set.deployer.store
        spec = bench.host.held[store.serving[0].id].spec
        labels = {**spec["Labels"], "dewy.root": "here:/srv/another"}
        theirs = await store.engine.create("theirs", {**spec, "Labels": labels})
        await store.engine.start(theirs)
        await store.observe()

        assert store.get(theirs) is None
        await bench.host.kill(theirs)


async def test_answer_at_published_port_alone_is_used_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The container's own address is reached, and answers otherwise."""
    async with benched(tmp_path, keep=False, upstream="auto") as bench:

        async def reachable(network: str, address: str) -> bool:
            return True

        bench.replica_set.deployer.launcher.upstreams._reachable = reachable  # type: ignore[method-assign]
        await bench.deploy(bench.publish("v1"))

        ways = {
            r.upstream.route
            for r in bench.replica_set.deployer.store.serving
            if r.upstream
        }
        assert {"published"} == ways
        assert "does not answer at its own address" in caplog.text
