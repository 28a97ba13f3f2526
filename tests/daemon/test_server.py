"""Judging the deaths of a supervised program."""

from __future__ import annotations

import pytest

from dewy.daemon.server import judge_death
from dewy.supervisor.worker import Worker
from tests.standins.agents import Hands, acting


async def ended(release: str) -> Worker:
    """A generation of the release directory *release* that ended."""
    worker = Worker(1, capture=False)
    worker.release = release
    await worker.stop(1.0)
    return worker


async def deployed(hands: Hands) -> list[str]:
    """Deploy two versions; their release directories."""
    for version in ("v1.0.0", "v1.1.0"):
        hands.publish(version)
        await hands.tick()
    return [each.directory for each in reversed(hands.agent.state.installed)]


@pytest.mark.parametrize(
    ("died", "expected"), [(1, (True, "v1.0.0")), (0, (False, "v1.1.0"))]
)
async def test_death_condemns_only_the_release_that_died(tmp_path, died, expected):
    async with acting(tmp_path) as hands:
        directories = await deployed(hands)
        worker = await ended(directories[died])

        moved = await judge_death(hands.agent, worker)
        await hands.agent.follow_up.finished()

        running = hands.agent.state.running
        assert running
        assert expected == (moved, running.tag)
