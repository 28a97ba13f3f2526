"""`kill -9` of dewy at any point of a deployment: the next start makes it good."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dewy.deploy.history import History
from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.site import Dewy

AROUND = "dewy.deploy.hooks:DeployHooks"
CURRENT = "dewy.deploy.current"
FETCHER = "dewy.deploy.fetch:Fetcher"
FOLLOW_UP = "dewy.follow_up:FollowUp"
GENERATIONS = "dewy.supervisor.generations"
RELEASES = "dewy.deploy.releases"
WORKER = "dewy.supervisor.worker:Worker"

# Until the switch, files and programs go the same way.
BEFORE = [
    f"{FETCHER}._obtain:enter",
    "dewy.artifacts.file:FileArtifacts.fetch:enter",
    "dewy.artifacts.file:FileArtifacts.fetch:leave",
    "dewy.caches.file:FileCache.store:enter",
    "dewy.caches.file:FileCache.store:leave",
    f"{FETCHER}._obtain:leave",
    f"{AROUND}.before:enter",
    f"{AROUND}.before:leave",
    f"{RELEASES}:unpack:enter",
    f"{RELEASES}:unpack:leave",
    f"{RELEASES}:Releases._unpack:leave",
]
SWITCH = [
    "pathlib:Path.symlink_to:leave",
    f"{CURRENT}:sync_directory:enter",
    f"{CURRENT}:Current.switch:leave",
    "dewy.deploy.state:StateFile.write:enter",
    "dewy.files:sync_directory:enter",
    "dewy.deploy.state:StateFile.write:leave",
    f"{AROUND}.after:enter",
    f"{AROUND}.after:leave",
    f"{FOLLOW_UP}._report:leave",
    f"{RELEASES}:Releases._prune:leave",
    "dewy.deploy.history:History.append:leave",
]
START = [
    f"{WORKER}.spawn:enter",
    f"{WORKER}.spawn:leave",
    f"{WORKER}.go:enter",
    f"{WORKER}.go:leave",
    f"{GENERATIONS}:wait_ready:leave",
    "dewy.deploy.state:StateFile.write:enter:2",
    "dewy.deploy.state:StateFile.write:leave:2",
    f"{GENERATIONS}:Generations._install:leave",
    f"{WORKER}.stop:leave",
    "dewy.deploy.state:StateFile.write:leave:3",
]

# The cache may be shared, so what a killed writer left there gets an hour.
DRAFT = re.compile(r"\.dewy/cache/[0-9a-f]{16}/\.[0-9a-f]{16}\.tmp")


@dataclass
class Doomed(Dewy):
    """A dewy that dies at *point* of its first deployment."""

    point: str = ""

    def arguments(self) -> list[str]:
        _, _, _, *rest = super().arguments()
        return [sys.executable, "-m", "tests.standins.killed", self.point, *rest]


@pytest.mark.parametrize("point", BEFORE + SWITCH)
async def test_files_killed_anywhere_are_made_good(tmp_path, point):
    assert await killed(tmp_path, "assets", 0, point)
    await made_good(Dewy(tmp_path, command="assets"))


@pytest.mark.parametrize("point", [BEFORE[-1], *SWITCH, *START])
async def test_a_program_killed_anywhere_is_made_good(tmp_path, unused_tcp_port, point):
    assert await killed(tmp_path, "server", unused_tcp_port, point)
    await made_good(Dewy(tmp_path, unused_tcp_port))


async def test_deployment_cut_by_a_kill_is_recorded_as_interrupted(tmp_path):
    assert await killed(tmp_path, "assets", 0, f"{RELEASES}:unpack:enter")
    dewy = Dewy(tmp_path, command="assets")
    async with dewy:
        status = await dewy.runs("v1.1.0")
    rows = await asyncio.to_thread(History(dewy.root / ".dewy").read)
    rows = [row for row in rows if row.tag == "v1.1.0"]

    assert ["interrupted", "deployed"] == [row.outcome for row in rows]
    assert ("dewy was killed", "v1.0.0") == (rows[0].reason, rows[0].previous)
    assert [] == status["quarantine"]
    assert not (dewy.root / ".dewy/underway.json").exists()


@pytest.mark.soak
@pytest.mark.parametrize("command", ["server", "assets"])
async def test_dewy_killed_before_any_write_recovers(
    tmp_path, unused_tcp_port, command
):
    """Each file written, renamed, linked or removed, and each process started."""
    for count in itertools.count(1):
        base = tmp_path / str(count)
        base.mkdir()
        port = unused_tcp_port if command == "server" else 0
        if not await killed(base, command, port, f"write:{count}"):
            break
        await made_good(Dewy(base, port, command))
    assert count > 20


async def test_orphans_of_killed_dewy_are_ended_at_next_start(
    tmp_path, unused_tcp_port
):
    """A program deaf to SIGTERM, and what it started, hold neither port nor root."""
    deaf = programs.PROGRAM.read_text().replace(
        "add_signal_handler(signal.SIGTERM, asked_to_stop.set)",
        "add_signal_handler(signal.SIGTERM, print)",
    )
    forks = deaf.replace("async def main", "os.fork()\n\n\nasync def main")
    dewy = Dewy(tmp_path, unused_tcp_port, options=["--stop-timeout", "300ms"])
    dewy.publish("v1.0.0", forks)
    async with dewy:
        await dewy.runs("v1.0.0")
        # Its forked copy serves the same socket, and is no child of dewy.
        await eventually(lambda: len(roots.inhabitants(dewy.root)) == 3)
        await dewy.kill()
    orphans = roots.inhabitants(dewy.root)
    assert 2 == len(orphans)

    async with dewy:
        await dewy.runs("v1.0.0")
        assert set() == orphans & roots.inhabitants(dewy.root)
        assert "Ended orphans" in dewy.log
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")


async def killed(base: Path, command: str, port: int, point: str) -> bool:
    """Deploy v1.1.0 over v1.0.0 and die at *point*; False if it was not reached."""
    dewy = Doomed(base, port, command, point=point)
    dewy.root.mkdir()
    await roots.deployed(dewy.root, "v1.0.0")
    dewy.publish("v1.1.0")
    await dewy.start()
    assert dewy.process is not None

    async def over() -> bool:
        # Points have their names from code that is reached; only changes run out.
        return dewy.process.returncode is not None or (
            point.startswith("write:")
            and "msg=Deployed" in dewy.log
            and len(await roots.history(dewy.root)) == 1
            and any(dewy.registry.glob("v1.1.0/shipped_to_*"))
        )

    await eventually(over)
    status = await dewy.stop()
    assert status in (0, -signal.SIGKILL), dewy.log
    return status != 0


async def all_known(root: Path) -> bool:
    """Whether each release directory is one that the state knows."""
    installed = (await roots.state(root)).installed
    return {i.directory: i.tag for i in installed} == roots.releases(root)


async def made_good(dewy: Dewy) -> None:
    """A clean dewy goes on to v1.1.0, with one of everything."""
    async with dewy:
        status = await dewy.runs("v1.1.0")
        await dewy.until(lambda now: now["last_poll"])
        if dewy.command == "server":
            assert "v1.1.0" == await dewy.fetch()
        directory = status["running"]["directory"]
        ours = {dewy.process.pid, *(each["pid"] for each in status["generations"])}
        await eventually(lambda: ours == roots.inhabitants(dewy.root))
        # What was left of the first attempt goes after the second one.
        await eventually(partial(all_known, dewy.root))

    state = await roots.state(dewy.root)
    assert "v1.1.0" == state.running.tag
    assert dewy.root / "releases" / directory == (dewy.root / "current").readlink()
    assert "v1.1.0" == (dewy.root / "current" / "VERSION").read_text()
    assert await all_known(dewy.root)
    assert () == state.groups
    assert not list(state.quarantine)
    left = [name for name in roots.strays(dewy.root) if not DRAFT.fullmatch(name)]
    assert [] == left
