"""Deploying a supervised program: the link and the generations move together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import replace

import pytest

from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed
from dewy.errors import RestartCalledOff, StartFailed
from dewy.supervisor.deployer import ServerDeployer
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.switching import nothing, take_over

V1 = Installed("v1", "a", "20310203T040506Z", 1.0)
V2 = Installed("v2", "b", "20310203T050000Z", 2.0)


def unpack(site, release: Installed, program: str | None = None) -> None:
    content = programs.files(release.tag, program)
    programs.unpacked(site.root / "releases" / release.directory, content)


@pytest.fixture
async def deployer(site):
    unpack(site, V1)
    await site.open()
    made = ServerDeployer(Releases(site.root), site.generations)
    await take_over(made, V1, nothing, fail)
    return made


async def fail(reason: BaseException) -> None:
    raise AssertionError("abandoned") from reason


async def test_a_release_takes_over_with_its_link(site, deployer):
    unpack(site, V2)
    seen = []

    async def commit() -> None:
        seen.append(await Releases(site.root).target())

    await take_over(deployer, V2, commit, fail)

    await site.only(2)
    assert ("v2", [V2.directory]) == (await site.ask(), seen)
    assert await deployer.alive()


async def test_a_release_that_fails_leaves_link_and_program(site, deployer):
    unpack(site, V2, programs.CRASHES)
    abandoned = []

    async def abandon(reason: BaseException) -> None:
        abandoned.append((str(reason), await Releases(site.root).target()))

    with pytest.raises(StartFailed):
        await take_over(deployer, V2, nothing, abandon)

    assert V1.directory == await Releases(site.root).target()
    assert "v1" == await site.ask()
    ((reason, target),) = abandoned
    assert "exit status 3" in reason
    assert V2.directory == target


async def test_a_first_release_that_fails_leaves_no_link(site):
    unpack(site, V1, programs.CRASHES)
    await site.open()
    deployer = ServerDeployer(Releases(site.root), site.generations)

    async def abandon(reason: BaseException) -> None:
        pass

    with pytest.raises(StartFailed):
        await take_over(deployer, V1, nothing, abandon)

    assert await Releases(site.root).target() is None
    assert not await deployer.alive()


async def test_healing_is_left_to_whoever_watches(site, deployer):
    before = site.generations.serving

    await deployer.heal(V1)

    assert before is site.generations.serving


async def test_stopped_before_anything_moved_the_link_stays(
    site, deployer, monkeypatch
):
    """Whoever reads through it must not find it gone for a deployment half begun."""
    unpack(site, V2)
    looking = asyncio.Event()

    async def look(releases: Releases) -> str:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError("cancelled before")

    with monkeypatch.context() as patched:
        patched.setattr(Releases, "target", look)
        work = asyncio.ensure_future(take_over(deployer, V2, nothing, ignore))
        await looking.wait()
        work.cancel()
        await asyncio.wait({work})

    assert work.cancelled()
    assert V1.directory == await Releases(site.root).target()


async def ignore(reason: BaseException) -> None:
    pass


async def restarting(site) -> asyncio.Task[bool]:
    """A restart that waits for READY=1, which does not come."""
    site.generations.policy = replace(site.policy, ready="notify", start_timeout=3600)
    program = site.root / "releases" / V1.directory / "program.py"
    await asyncio.to_thread(program.write_text, programs.NEVER_READY)
    task = asyncio.ensure_future(site.generations.restart())
    await eventually(lambda: "starting" in site.generations.workers.values())
    return task


async def test_put_back_cancels_restart_in_progress(site, deployer):
    unpack(site, V2)
    restart = await restarting(site)

    await deployer.put_back(V2)

    await asyncio.wait({restart})
    with pytest.raises(RestartCalledOff, match="another release is to run"):
        restart.result()
    await site.only(1)


async def test_restart_that_gives_way_to_deployment_is_no_failure(
    site, deployer, caplog
):
    """SIGHUP during a deployment was logged as an error."""
    caplog.set_level(logging.INFO)
    site.generations.policy = replace(site.policy, ready="notify", start_timeout=3600)
    unpack(site, V2)
    program = site.root / "releases" / V1.directory / "program.py"
    await asyncio.to_thread(program.write_text, programs.NEVER_READY)
    site.supervisor.restart()
    await eventually(lambda: "starting" in site.generations.workers.values())

    await deployer.put_back(V2)

    def told() -> list[int]:
        lines = (line for line in caplog.records if "Restart" in line.message)
        return [line.levelno for line in lines]

    await eventually(told)
    assert [logging.INFO] == told()


async def test_restart_of_a_release_that_was_left_meanwhile_is_not_installed(site):
    state = [V1.directory]
    unpack(site, V1)
    await site.open(release=lambda: state[0])
    await take_over(
        ServerDeployer(Releases(site.root), site.generations), V1, nothing, fail
    )
    serving = site.generations.serving
    site.generations.policy = replace(site.policy, start_grace=1)
    restart = asyncio.ensure_future(site.generations.restart())
    await eventually(lambda: "starting" in site.generations.workers.values())

    state[0] = V2.directory

    await asyncio.wait({restart})
    with pytest.raises(RestartCalledOff, match="another release is to run by now"):
        restart.result()
    assert serving is site.generations.serving


async def test_prune_keeps_cancelled_candidate_until_process_exit(site, deployer):
    unpack(site, V2, programs.STUBBORN)
    site.generations.policy = replace(site.policy, start_grace=3600, stop_timeout=3600)
    releases = Releases(site.root)
    deployer = ServerDeployer(releases, site.generations)
    work = asyncio.ensure_future(take_over(deployer, V2, nothing, ignore))
    await eventually(lambda: V2.directory in site.generations.releases())
    await eventually((site.root / "deaf").exists)

    work.cancel()
    await asyncio.wait({work})
    await releases.prune({V1.directory})
    assert {V1.directory, V2.directory} == await releases.names()

    site.generations.hurry.set()
    await site.only(1)
    await releases.prune({V1.directory})
    assert {V1.directory} == await releases.names()


async def test_deployment_does_not_wait_for_a_restart(site, deployer):
    unpack(site, V2)
    restart = await restarting(site)
    site.generations.policy = site.policy

    await take_over(deployer, V2, nothing, fail)

    await asyncio.wait({restart})
    assert isinstance(restart.exception(), StartFailed)
    assert V2.directory == site.generations.serving.release


async def test_restart_preempted_by_failed_deployment_runs_afterwards(site, deployer):
    unpack(site, V2, programs.CRASHES)
    restart = await restarting(site)
    site.generations.policy = site.policy
    program = site.root / "releases" / V1.directory / "program.py"
    good = programs.files("v1")["program.py"]
    await asyncio.to_thread(program.write_text, good)

    with pytest.raises(StartFailed):
        await take_over(deployer, V2, nothing, ignore)

    assert await restart
    await site.only(4)
    assert V1.directory == site.generations.serving.release


async def test_deployment_does_not_wait_for_a_respawn(site, deployer):
    unpack(site, V2)
    program = site.root / "releases" / V1.directory / "program.py"
    await asyncio.to_thread(program.write_text, programs.NEVER_READY)
    os.kill(site.generations.serving.pid, signal.SIGKILL)
    site.generations.policy = replace(site.policy, ready="notify", start_timeout=3600)
    await eventually(lambda: "starting" in site.generations.workers.values())

    async with asyncio.timeout(60):
        await take_over(deployer, V2, nothing, fail)

    assert V2.directory == site.generations.serving.release
