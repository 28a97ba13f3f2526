"""Probation: what happens in the moment of a verdict."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.probation import Probation
from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed, State
from dewy.system import Clock
from tests.deploy.on_probation import NEW, OLD, Case
from tests.eventually import DEADLINE


async def test_timer_that_rings_early_lets_nothing_undecided_pass(tmp_path: Path):
    """By the clock, the rest of the time passes while the timer is answered."""
    case, asked = Case(tmp_path), asyncio.Event()
    times = [0.0, 29.9999, 29.9999]
    clock = Clock(monotonic=lambda: times.pop(0) if times else 30.0)
    log = DeploymentLog(case.history, (), clock)
    probation = Probation(case.settings, clock, case.state_store, log)

    def undecided() -> bool:
        asked.set()
        return True

    probation.watch(undecided)
    probation.begin(NEW, "abc")
    async with asyncio.timeout(DEADLINE):
        await asked.wait()

    assert probation.left is not None
    probation.end()


class Waiting(AssetsDeployer):
    """A deployer that takes its time to say which releases are at hand."""

    def __init__(self, releases: Releases) -> None:
        super().__init__(releases)
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def at_hand(self, release: Installed) -> bool:
        self.asked.set()
        await self.answers.wait()
        return True


@pytest.mark.parametrize("fails", [False, True])
async def test_rollback_of_operator_during_verdict_stays(fails: bool, tmp_path: Path):
    """Also where nothing can be put back."""
    oldest = Installed("v0", "0", "20310203T030000Z", 0.5)
    kept = State(NEW, (NEW, OLD, oldest))
    case = Case(tmp_path, state=kept)
    case.deployer = deployer = Waiting(case.releases)
    case.probation.begin(NEW, "abc")
    verdict = asyncio.create_task(case.die(), name="verdict")
    await deployer.asked.wait()
    assert OLD == case.state_store.state.running

    await case.state_store.note(lambda state: replace(state, running=oldest))
    if fails:
        case.now = 3600  # as after pulls that took too long
    deployer.answers.set()

    assert not await verdict
    assert oldest == case.state_store.state.running
