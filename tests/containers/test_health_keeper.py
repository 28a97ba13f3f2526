"""What follows from looks at the replicas that serve."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dewy.containers import health_keeper as module
from dewy.containers.replica import Replica
from tests.containers.test_reconciler import (
    examined,
    first,
    judged_by,
    kept,
    whole,
)
from tests.eventually import eventually


async def test_unhealthy_replica_is_ejected_and_restored_on_recovery(tmp_path: Path):
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


async def test_unhealthy_replicas_are_all_used_in_panic_mode(tmp_path: Path):
    async with kept(tmp_path, health_interval=0.01) as bench:
        for shop in bench.shops.values():
            shop.health = 500
        serving = bench.replica_set.deployer.store.serving
        await eventually(lambda: all(r.backends[0].ejected for r in serving))

        assert "v1" == await bench.ask()
        assert ["v1"] * 3 == bench.serving()


async def test_most_replicas_unhealthy_is_a_verdict(tmp_path: Path):
    async with kept(tmp_path, health_interval=0.01) as bench:
        one, other, _ = bench.replica_set.deployer.store.serving
        bench.shops[one.id].health = 503
        await eventually(lambda: one.backends[0].ejected)
        assert [] == bench.deaths
        bench.shops[other.id].health = 503
        await eventually(lambda: bench.deaths)

        assert "2 of 3 replicas are unhealthy" in bench.deaths[0]
        assert "answered 503" in bench.deaths[0]


async def test_no_healthy_replica_is_told_once_and_so_is_its_end(tmp_path: Path):
    async with kept(tmp_path, health_interval=0.01) as bench:
        shops = [bench.shops[r.id] for r in bench.replica_set.deployer.store.serving]
        for shop in shops:
            shop.health = 503
        await eventually(lambda: bench.troubles)
        await examined(bench, 3)
        shops[0].health = 200
        await eventually(lambda: len(bench.troubles) == 2)

        assert bench.troubles[0].startswith("No replica is healthy: ")
        assert "answered 503" in bench.troubles[0]
        assert "Replicas are healthy again" == bench.troubles[1]


async def test_replica_that_stays_unhealthy_is_replaced(tmp_path: Path):
    given = {"health_interval": 0.01, "health_restart": 0.05}
    async with kept(tmp_path, **given) as bench:
        sick = first(bench)
        bench.shops[sick.id].health = 503
        await eventually(lambda: sick.id not in bench.host.held and whole(bench))

        assert [] == bench.deaths


async def test_unhealthy_replicas_stay_while_none_is_healthy(tmp_path: Path):
    async with kept(tmp_path, health_interval=0.01) as bench:
        before = set(bench.host.held)
        for each in bench.replica_set.deployer.store.serving:
            bench.shops[each.id].health = 503
        await eventually(lambda: bench.troubles)
        settings = replace(bench.replica_set.settings, health_restart=0.02)
        bench.replica_set.reloadable.reload(settings)
        await examined(bench, 10)

        assert before == set(bench.host.held)


async def test_unhealthy_replica_stays_where_nothing_is_to_be_restarted(tmp_path: Path):
    given = {"health_interval": 0.01, "health_restart": 0.0}
    async with kept(tmp_path, **given) as bench:
        sick = first(bench)
        bench.shops[sick.id].health = 503
        await eventually(lambda: sick.backends[0].ejected)
        await examined(bench, 10)

        assert sick.id in bench.host.held


@dataclass
class SlowVerdict:
    """A verdict that takes until `given` is set, as while an image is pulled."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    given: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(
        self, replica: Replica, how: str, tail: tuple[str, ...], verb: str
    ) -> bool:
        self.asked.set()
        await self.given.wait()
        return False


async def test_health_checks_go_on_while_broken_connections_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "too_broken", lambda *given: True)
    async with kept(tmp_path, health_interval=0.01) as bench:
        verdict = SlowVerdict()
        judged_by(bench, verdict)
        settings = replace(bench.replica_set.settings, max_broken=0.1)
        bench.replica_set.reloadable.reload(settings)
        await verdict.asked.wait()
        await examined(bench, 3)
        bench.shops[first(bench).id].health = 503
        await eventually(lambda: first(bench).backends[0].ejected)

        assert bench.replica_set.reconciler.undecided()
        verdict.given.set()
        await eventually(lambda: not bench.replica_set.reconciler.undecided())


async def test_replica_recovers_while_its_version_is_judged_for_its_health(
    tmp_path: Path,
):
    async with kept(tmp_path, health_interval=0.01) as bench:
        verdict = SlowVerdict()
        judged_by(bench, verdict)
        one, other, _ = bench.replica_set.deployer.store.serving
        for each in (one, other):
            bench.shops[each.id].health = 503
        await verdict.asked.wait()
        for each in (one, other):
            bench.shops[each.id].health = 200
        await eventually(
            lambda: not one.backends[0].ejected and not other.backends[0].ejected
        )


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
async def test_check_for_which_this_host_lacks_the_means_is_no_verdict(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The proxy's clients may take all descriptors, or all local ports, at a time."""
    async with kept(tmp_path, health_interval=0.01) as bench:
        asked = 0

        async def short(endpoint: object) -> None:
            nonlocal asked
            asked += 1
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("dewy.containers.health._connected", short)
        await eventually(lambda: asked > 6 * bench.settings.health_fall)

        serving = bench.replica_set.deployer.store.serving
        assert [True] * 3 == [each.health_tracker.healthy for each in serving]
        assert os.strerror(number).lower() in serving[0].problem
        assert [] == bench.deaths
