"""Rolling updates, on a host that is memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.errors import StartFailed
from dewy.system import Clock
from tests.eventually import eventually
from tests.standins.crews import benched


async def test_a_first_version_and_the_next(tmp_path: Path):
    async with benched(tmp_path) as bench:
        await bench.deploy(bench.publish("v1"))
        assert ["v1"] * 3 == bench.serving()
        assert "v1" == await bench.ask()

        await bench.deploy(bench.publish("v2"))

        assert ["v2"] * 3 == bench.serving()
        assert "v2" == await bench.ask()
        await eventually(lambda: ["v2"] * 3 == bench.running())
    assert [] == bench.running()


async def test_a_version_that_exits_leaves_the_old_one_alone(tmp_path: Path):
    async with benched(tmp_path) as bench:
        await bench.deploy(bench.publish("v1"))
        with pytest.raises(StartFailed, match="exit status 3"):
            await bench.deploy(bench.publish("v2", exits=3))

        assert ["v1"] * 3 == bench.serving()
        await eventually(lambda: ["v1"] * 3 == bench.running())
        assert 3 == len(bench.host.held)


async def test_a_replica_that_dies_is_replaced(tmp_path: Path):
    async with benched(tmp_path) as bench:
        await bench.deploy(bench.publish("v1"))
        victim = bench.crew.deployer.fleet.serving[0]
        await bench.host.kill(victim.id)

        await eventually(lambda: bench.deaths and ["v1"] * 3 == bench.serving())
        assert victim.id not in {r.id for r in bench.crew.deployer.fleet.serving}
        await eventually(lambda: 3 == len(bench.host.held))


async def test_what_an_earlier_dewy_left_is_adopted(tmp_path: Path):
    async with benched(tmp_path, on_exit="leave") as bench:
        await bench.deploy(bench.publish("v1"))
        left = set(bench.host.held)
        host = bench.host
    host.calls.clear()
    async with benched(tmp_path, host, keep=False) as bench:
        assert ["v1"] * 3 == bench.serving()
        assert left == set(host.held)
        assert "create" not in [call for call, _ in host.calls]
        shops = {"v1"}
        assert await bench.ask() in shops
    await asyncio.sleep(0)


async def test_what_serves_is_known_without_a_state(tmp_path: Path):
    """Else it could not be healed, nor gone back to, before the next version."""
    async with benched(tmp_path, on_exit="leave") as bench:
        deployed = await bench.deploy(bench.publish("v1"))
        host = bench.host
    (tmp_path / ".dewy" / "state.json").unlink()
    async with benched(tmp_path, host, keep=False) as bench:
        found = await bench.crew.deployer.identify(5.0)

        assert ["v1"] * 3 == bench.serving()
        assert (deployed.tag, deployed.identity, "", 5.0) == (
            found.tag,
            found.identity,
            found.directory,
            found.at,
        )


async def test_what_failed_is_not_adopted(tmp_path: Path):
    """Nor left behind, when nothing ran before it."""
    async with benched(tmp_path, on_exit="leave", keep=False) as bench:
        failed = await bench.deploy(bench.publish("v1"))
        host, ledger = bench.host, bench.ledger
        await ledger.change(lambda state: replace(state, running=None))
        await ledger.condemn("v1", failed.identity, "bad", Clock(), traffic=False)
    async with benched(tmp_path, host) as bench:
        assert [] == bench.serving()
        await eventually(lambda: not host.held)
