"""Files: in place when `current` points at them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest

from dewy.deploy.current import Current
from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed
from dewy.errors import DeploymentError
from tests.eventually import turns
from tests.standins.switching import nothing, take_over

V1 = Installed("v1", "a", "20310203T040506Z", 1.0)
V2 = Installed("v2", "b", "20310203T050000Z", 2.0)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    for installed in (V1, V2):
        (tmp_path / "releases" / installed.directory).mkdir(parents=True)
    return Releases(tmp_path)


async def test_current_link_points_to_release_at_commit(releases: Releases):
    deployer = AssetsDeployer(releases)
    seen = []

    async def commit() -> None:
        seen.append(await releases.target())

    assert not await deployer.alive()
    await take_over(deployer, V1, commit, nothing)

    assert ([V1.directory], True) == (seen, await deployer.alive())


@pytest.mark.parametrize("before", [None, V1])
async def test_a_commit_that_fails_puts_the_link_back(
    releases: Releases, before: Installed | None
):
    deployer = AssetsDeployer(releases)
    if before:
        await take_over(deployer, before, nothing, nothing)
    abandoned = []

    async def commit() -> None:
        raise OSError("disk full")

    async def abandon(reason: BaseException) -> None:
        abandoned.append((str(reason), await releases.target()))

    with pytest.raises(OSError, match="disk full"):
        await take_over(deployer, V2, commit, abandon)

    assert (before and before.directory) == await releases.target()
    assert [("disk full", V2.directory)] == abandoned


async def test_a_missing_release_leaves_the_link(releases: Releases):
    deployer = AssetsDeployer(releases)
    await take_over(deployer, V1, nothing, nothing)

    with pytest.raises(DeploymentError, match="is gone"):
        await take_over(deployer, Installed("v3", "c", "none", 3.0), nothing, nothing)

    assert V1.directory == await releases.target()


async def test_a_link_that_somebody_moved_is_put_back(releases: Releases):
    deployer = AssetsDeployer(releases)
    await take_over(deployer, V1, nothing, nothing)
    await releases.switch(V2.directory)

    await deployer.heal(V1)

    assert V1.directory == await releases.target()


async def test_cancellation_during_link_switch_restores_previous_link(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    """A thread can't be called off: putting back has to wait until it is done."""
    deployer = AssetsDeployer(releases)
    await take_over(deployer, V1, nothing, nothing)
    loop, go = asyncio.get_running_loop(), Event()
    moving, moved = asyncio.Event(), asyncio.Event()
    switch, switched = Current.switch, []

    def slowly(current: Current, target: Path) -> None:
        switched.append(target.name)
        if target.name == V2.directory:
            loop.call_soon_threadsafe(moving.set)
            go.wait(20)
            switch(current, target)
            loop.call_soon_threadsafe(moved.set)
        else:
            switch(current, target)

    monkeypatch.setattr(Current, "switch", slowly)
    work = asyncio.ensure_future(take_over(deployer, V2, nothing, nothing))
    await moving.wait()
    work.cancel()
    await turns()
    # Whatever else was given to a thread has begun by then.
    await asyncio.to_thread(int)
    meanwhile = [*switched]
    go.set()
    await asyncio.wait({work})
    await moved.wait()

    assert [V2.directory] == meanwhile
    assert work.cancelled()
    assert V1.directory == await releases.target()
