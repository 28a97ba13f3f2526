"""Settings that do not work, where others worked before."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.containers import restart_policy
from dewy.containers.model import Container
from dewy.containers.options.arguments import RunOptions
from dewy.errors import EngineError
from tests.containers.test_replica_set import QUICK
from tests.eventually import eventually
from tests.standins.crews import Bench, Shop, benched

HEALTH = {"health_path": "/", "health_timeout": 5.0, "health_interval": 0.05}
IMPOSSIBLE: list[dict[str, Any]] = [
    {"health_path": "/up"},
    {"health_timeout": 0.0, "min_healthy": 0.3, "health_path": "/up"},
    {"min_healthy": 3600.0},
    {"upstream": "direct"},
]


async def lose_all(bench: Bench) -> None:
    """Kill all replicas, and return once others are in their places."""
    old = set(bench.host.held)
    for each in old:
        await bench.host.kill(each)
    await eventually(lambda: not old & set(bench.host.held), 20)


@pytest.mark.parametrize("changed", IMPOSSIBLE, ids=lambda each: "-".join(each))
async def test_health_settings_that_do_not_work_leave_lost_replicas_to_those_that_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
):
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    async with benched(tmp_path, **QUICK | HEALTH) as bench:
        await bench.deploy(bench.publish("v1", labels={"health": "404"}))
        settings = replace(bench.replica_set.settings, **changed)
        bench.replica_set.renew(settings, RunOptions())
        for _ in range(2):
            await lose_all(bench)
            await eventually(lambda: ["v1"] * 3 == bench.serving(), 20)

            assert "v1" == await bench.ask()


async def test_health_path_that_serving_replicas_answer_heals_lost_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Accepting connections was enough before; now it is not."""
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    async with benched(tmp_path, **QUICK | HEALTH | {"health_path": ""}) as bench:
        await bench.deploy(bench.publish("v1"))
        settings = replace(bench.replica_set.settings, health_path="/up")
        bench.replica_set.renew(settings, RunOptions())
        before = sum(each.connections for each in bench.shops.values())
        await eventually(
            lambda: sum(s.connections for s in bench.shops.values()) > before + 9
        )
        for each in bench.host.registry.values():
            each.labels["health"] = "503"  # type: ignore[index]
        serving = bench.replica_set.deployer.store.serving
        await bench.host.kill(serving[0].id)
        await eventually(lambda: bench.troubles, 20)

        assert "answered 503" in bench.troubles[0]
        assert ["v1"] * 2 == bench.serving()


async def test_replica_that_connects_serves_where_none_was_ever_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """As after a start with another health path: nothing is known to have worked."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    given = QUICK | HEALTH | {"health_timeout": 0.3}
    async with benched(tmp_path, **given, on_exit="stop") as bench:
        await bench.deploy(bench.publish("v1", labels={"health": "404"}))
        host = bench.host
    async with benched(tmp_path, host, **given | {"health_path": "/up"}) as bench:
        await eventually(lambda: ["v1"] * 3 == bench.serving(), 20)

        assert "v1" == await bench.ask()
        assert "answered 404" in bench.replica_set.degraded()[0]
    assert "Unhealthy replica serves, since no other does" in caplog.text


@asynccontextmanager
async def deaf_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    """One replica, and a command, newer than it, whose programs answer nothing."""
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.02)
    given = HEALTH | {"health_path": "/up", "health_timeout": 0.1, "replicas": 1}
    async with benched(tmp_path, **given) as bench:
        await bench.deploy(bench.publish("v1"))
        run = bench.host.run

        async def deaf(container: Container, spec: Mapping[str, Any]) -> Shop:
            shop = await run(container, spec)
            if spec.get("Cmd") == ["deaf"]:
                await shop.kill()
            return shop

        bench.host.run = deaf
        changed = replace(bench.replica_set.settings, cmd=("deaf",))
        bench.replica_set.renew(changed, RunOptions())
        yield bench


async def test_failures_of_the_past_delay_no_replica_that_is_lost_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each was counted for as long as newer options did not work."""
    async with deaf_command(tmp_path, monkeypatch) as bench:
        refusals, took = [False], []

        async def hook(phase: str, call: str, subject: str) -> None:
            if (phase, call, refusals[-1]) == ("before", "create", True):
                refusals.append(False)
                raise EngineError("the engine is busy")

        bench.host.hook = hook
        for _ in range(10):
            refusals.append(True)
            begun = time.monotonic()
            for each in list(bench.host.held):
                await bench.host.kill(each, asked=True)
            await eventually(lambda: not refusals[-1] and ["v1"] == bench.serving(), 60)
            took.append(time.monotonic() - begun)

        # A busy machine may delay one of them, a pause delays all.
        assert min(took[-3:]) < 8 * max(took[:2])


async def test_crash_loop_with_last_working_settings_backs_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with deaf_command(tmp_path, monkeypatch) as bench:
        for _ in range(2):
            await eventually(lambda: ["v1"] == bench.serving(), 20)
            (serving,) = bench.replica_set.deployer.store.serving
            await bench.host.kill(serving.id)
            await eventually(lambda dead=serving: dead.termination, 20)

        await eventually(lambda: bench.replica_set.deployer.spare_pacing.left, 20)
        assert 2 == len(bench.deaths)


async def test_version_is_not_judged_by_a_check_that_came_with_a_reload(
    tmp_path: Path,
):
    """A misspelt path put a good version on probation back, and kept it out."""
    async with benched(tmp_path, **QUICK | HEALTH | {"health_path": "/"}) as bench:
        await bench.deploy(bench.publish("v1", labels={"health": "404"}))
        settings = replace(bench.replica_set.settings, health_path="/up")
        bench.replica_set.renew(settings, RunOptions())
        serving = bench.replica_set.deployer.store.serving
        await eventually(lambda: not any(s.health_tracker.healthy for s in serving))
        await eventually(lambda: "No replica is healthy" in str(bench.troubles))

        assert [] == bench.deaths
