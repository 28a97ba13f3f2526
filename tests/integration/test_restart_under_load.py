"""Restarts and deployments while connections arrive all the time: none is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dewy.demo.scenario import PROGRAM
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.load import Load
from tests.standins.restarts import children, descriptors, generation, restart
from tests.standins.site import Dewy

# Answers long enough to be cut.
VERBOSE = PROGRAM.read_text().replace('\\n".encode()', '\\n".encode() * 1000')
assert VERBOSE != PROGRAM.read_text()

KEPT = 16

Measured = Callable[[object], None]


async def is_as_before(dewy: Dewy, open_before: int) -> None:
    """One healthy child, nothing else, and not a descriptor more."""
    assert dewy.process is not None
    pid = dewy.process.pid
    await eventually(lambda: 1 == len(children(pid)))
    await eventually(lambda: ["S"] == list(children(pid).values()))
    await eventually(partial(_has_at_most, pid, open_before))
    status = await dewy.ask("status")
    assert [] == status["degraded"]


async def _has_at_most(pid: int, count: int) -> bool:
    # Helpers that looked at files end when they have been idle for a minute.
    return await descriptors(pid) <= count


async def settled(dewy: Dewy) -> int:
    """How many descriptors dewy has open after its first restart."""
    assert dewy.process is not None
    await dewy.runs("v1.0.0")
    await restart(dewy)
    return await descriptors(dewy.process.pid)


@pytest.fixture
def dewy(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.root.mkdir()
    dewy.registry.mkdir()
    dewy.publish("v1.0.0", VERBOSE)
    return dewy


async def test_graceful_restarts_lose_nothing(
    dewy: Dewy, soak: bool, measured: Measured
) -> None:
    """Nothing refused, reset or cut short, and nothing left behind."""
    restarts = 200 if soak else 25
    async with dewy:
        open_before = await settled(dewy)
        async with Load(dewy.port, rate=1000 if soak else 600, kept=KEPT) as load:
            for _ in range(restarts):
                await restart(dewy)
            await load.until(lambda report: report.arrivals >= 50 * restarts)
        measured(load.report)

        assert {} == load.report.failures, load.report.examples
        assert not soak or load.report.arrivals >= 500 * load.report.seconds
        assert {"v1.0.0"} == set(load.report.versions)
        await is_as_before(dewy, open_before)


async def test_health_checked_restarts_lose_nothing(
    dewy: Dewy, soak: bool, measured: Measured
) -> None:
    """Of the answers to a health check, those of the old generation don't count."""
    dewy.options = ("--health-path", "/up", "--health-timeout", "2m")
    restarts = 20 if soak else 1
    async with dewy:
        open_before = await settled(dewy)
        async with Load(dewy.port, rate=600 if soak else 200, kept=KEPT) as load:
            for _ in range(restarts):
                await restart(dewy)
        measured(load.report)

        assert {} == load.report.failures, load.report.examples
        await is_as_before(dewy, open_before)


async def test_repeated_restart_signals_leave_single_generation(
    dewy: Dewy, measured: Measured
) -> None:
    """Signals during a restart become one more restart, and none is forgotten."""
    async with dewy:
        open_before = await settled(dewy)
        before = await generation(dewy)
        async with Load(dewy.port, rate=600, kept=KEPT) as load:
            for _ in range(100):
                dewy.signal(signal.SIGHUP)
                # So that they come at every point of a restart.
                await asyncio.sleep(0.008)
            # A restart that was forgotten, or one too many, would still come.
            await load.goes_on(arrivals=300)
            after = await generation(dewy)
            await load.goes_on(arrivals=300)

            assert after == await generation(dewy)
        measured(f"{after - before} restarts, {load.report}")

        assert {} == load.report.failures, load.report.examples
        assert before < after <= before + 100
        await is_as_before(dewy, open_before)


async def test_deployments_lose_nothing_and_neither_do_bad_ones(
    dewy: Dewy, soak: bool, measured: Measured
) -> None:
    """Every third release crashes; the one before it serves on, untouched."""
    releases = 60 if soak else 6
    good = ["v1.0.1"]
    async with dewy:
        await settled(dewy)
        # Two versions are looked at by a helper each; more versions need no more.
        dewy.publish("v1.0.1", VERBOSE)
        await dewy.runs("v1.0.1")
        assert dewy.process is not None
        open_before = await descriptors(dewy.process.pid)
        async with Load(dewy.port, rate=600, kept=KEPT) as load:
            for n in range(1, releases + 1):
                version = f"v1.{n}.0"
                dewy.publish(version, programs.CRASHES if n % 3 == 2 else VERBOSE)
                if n % 3 != 2:
                    good.append(version)
                    await dewy.runs(version)
                else:
                    assert "exit status 3" in await dewy.refuses(version)
            await load.goes_on(arrivals=50)
        measured(load.report)

        assert {} == load.report.failures, load.report.examples
        assert set(good) == set(load.report.versions)
        await is_as_before(dewy, open_before)
