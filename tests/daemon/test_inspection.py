"""What is there is compared with what should be, again and again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.daemon.inspection import inspecting, keep_link, keep_release
from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed, State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.supervisor.generations import Generations
from dewy.supervisor.policy import Policy
from dewy.supervisor.sockets import open_listeners
from tests.eventually import eventually
from tests.standins.switching import nothing

V1 = Installed("v1", "a", "20310203T040506Z", 1.0)
V2 = Installed("v2", "b", "20310203T050000Z", 2.0)


@pytest.fixture
async def releases(tmp_path: Path) -> Releases:
    for installed in (V1, V2):
        (tmp_path / "releases" / installed.directory).mkdir(parents=True)
    releases = Releases(tmp_path)
    await releases.switch(V2.directory)
    return releases


@pytest.fixture
def state_store(tmp_path: Path) -> StateStore:
    return StateStore(StateFile(tmp_path), State(V2, (V2, V1)))


async def leads_to(releases: Releases, installed: Installed) -> bool:
    return installed.directory == await releases.target()


async def test_link_moved_by_hand_is_put_back(
    tmp_path: Path, releases: Releases, state_store: StateStore
):
    async with inspecting(keep_link(state_store, releases), period=0.01):
        await Releases(tmp_path).switch(V1.directory)
        await eventually(lambda: leads_to(releases, V2))


async def test_link_of_a_release_under_trial_is_left_alone(
    releases: Releases, state_store: StateStore
):
    look = keep_link(state_store, releases)
    async with releases.trying(V1.directory) as trial:
        await trial.place()
        await look()

        assert await leads_to(releases, V1)


async def test_failing_look_is_told_once_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
):
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        raise OSError("no inode left")

    async with inspecting(look, period=0.001) as task:
        await eventually(lambda: looks > 3)
        assert not task.done()

    assert 1 == caplog.messages.count("Inspection failed")
    assert task.cancelled()


async def test_leaving_ends_a_look(caplog: pytest.LogCaptureFixture):
    looking = asyncio.Event()

    async def look() -> None:
        looking.set()
        await asyncio.Event().wait()

    async with inspecting(look, period=0.001) as task:
        await looking.wait()

    assert task.cancelled()


async def test_program_of_another_release_than_the_state_says_is_restarted(
    tmp_path: Path, releases: Releases
):
    state, asked = [V2.directory], []
    with await open_listeners([], [], 1.0) as listeners:
        generations = Generations(
            ("sleep", "3600"),
            tmp_path,
            listeners,
            Policy(start_grace=0.01),
            capture=False,
            notifies=False,
            record=nothing,
            release=lambda: state[0],
        )
        try:
            await generations.respawn()
            look = keep_release(generations, lambda: asked.append(state[0]))
            await look()
            state[0] = V1.directory
            async with generations.switch():
                await look()
            await look()
            # A rollback within probation may be about to restart it.
            assert [] == asked

            await look()
            await look()
        finally:
            await generations.stop()

    assert [V1.directory] == asked
