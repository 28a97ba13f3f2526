"""Rolling updates of real containers under load of all kinds: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.standins.container_load import ContainerLoad
from tests.standins.container_site import ContainerDewy
from tests.standins.engines import RealEngine
from tests.standins.images import Publisher
from tests.standins.restarts import descriptors

Measured = Callable[[object], None]

REQUESTS = 100_000
TWINS = {"compiled": "", "pure": "1"}
# The relay does not know the engine: all pairs meet in a soak only.
CASES = [
    ("docker", "compiled"),
    ("docker", "pure"),
    ("podman", "compiled"),
    pytest.param("podman", "pure", marks=pytest.mark.soak),
]
KINDS = {"new", "keep-alive", "slow", "down", "up"}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("engine", "twin"), CASES, indirect=["engine"])
async def test_rolling_updates_lose_nothing(
    engine: RealEngine,
    publisher: Publisher,
    tmp_path: Path,
    unused_tcp_port: int,
    twin: str,
    soak: bool,
    measured: Measured,
) -> None:
    """Three replicas, again and again: not one request, and nothing left behind."""
    rollouts = 50 if soak else 3
    dewy = ContainerDewy(
        tmp_path,
        unused_tcp_port,
        engine=engine,
        publisher=publisher,
        options=["--max-parallel", "3"],
        variables={"DEWY_NO_EXTENSIONS": TWINS[twin]},
    )
    await dewy.push("v1.0.0")
    async with dewy:
        await dewy.serves("v1.0.0")
        await roll(dewy, "v1.1.0")
        open_before = await descriptors(dewy.process.pid, pipes=False)
        rate, kept = (200, 12) if soak else (50, 3)
        async with ContainerLoad(
            dewy.port, rate=rate, kept=kept, slow=4, streams=1
        ) as load:
            for minor in range(2, rollouts + 2):
                await roll(dewy, f"v1.{minor}.0")
                await load.goes_on(REQUESTS // rollouts if soak else 100)
        measured(f"{rollouts} rollouts, {load.report}")

        assert {} == load.report.failures, load.report.examples
        assert KINDS == set(load.report.answers)
        assert not soak or load.report.total >= REQUESTS
        # HTTP lets a client ask again (RFC 9112, 9.3.1), but hardly one has to.
        assert load.report.retried <= rollouts
        assert rollouts + 1 == len(load.report.versions)
        assert [] == (await dewy.ask("status"))["degraded"]
        await eventually(partial(_left_nothing_open, dewy, open_before))
    assert 0 == dewy.process.returncode
    assert [] == await dewy.containers()


async def _left_nothing_open(dewy: ContainerDewy, open_before: int) -> bool:
    """Give or take what happens to be asked of registry and engine."""
    return open_before + 2 >= await descriptors(dewy.process.pid, pipes=False)


async def roll(dewy: ContainerDewy, version: str, *, alone: bool = True) -> None:
    """Publish *version* and wait until it serves; *alone*: until nothing else does."""
    await dewy.push(version)
    await dewy.serves(version)
    if alone:
        await dewy.alone(version)
