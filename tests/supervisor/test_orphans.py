"""What programs leave behind: adopted, reaped, and ended with their generation."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dewy.errors import StartFailed
from dewy.supervisor import orphans as module
from dewy.supervisor.orphans import OrphanReaper, subreaper
from dewy.supervisor.processes import children
from dewy.system import start_time
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.switching import renew

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux adopts")

# Ends at once, and leaves a child that ends a moment later.
ORPHANS = """
import os, sys
if os.fork() == 0:
    if sys.argv[1] == "detached":
        os.setsid()
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(7)
"""


@pytest.fixture
def adopting() -> Iterator[None]:
    with subreaper():
        yield


async def zombies() -> set[int]:
    found = await asyncio.to_thread(children, os.getpid())
    return {child.pid for child in found if child.ended}


async def zombies_but(known: set[int]) -> set[int]:
    return await zombies() - known


def spawned(*arguments: str, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", *arguments], **how)


async def left(how: str) -> subprocess.Popen[bytes]:
    """A process that has left an orphan, which ends with our end of its pipe."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = spawned(ORPHANS, how, start_new_session=True, **pipes)
    await asyncio.to_thread(process.wait)
    return process


async def end(parent: subprocess.Popen[bytes]) -> None:
    """Let the orphan that *parent* left end."""
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.close()
    await asyncio.to_thread(parent.stdout.close)


async def test_orphan_of_a_generation_is_reaped(adopting: None):
    before = await zombies()
    parent = await left("plain")
    await end(parent)
    await eventually(lambda: zombies_but(before))

    await OrphanReaper(lambda: {parent.pid}).look()

    assert set() == await zombies_but(before)


async def test_orphan_in_a_session_of_its_own_is_reaped_in_the_end(
    adopting: None, monkeypatch: pytest.MonkeyPatch
):
    before = await zombies()
    parent = await left("detached")
    await end(parent)
    await eventually(lambda: zombies_but(before))
    reaper = OrphanReaper(tuple)
    await reaper.look()
    assert await zombies_but(before)
    monkeypatch.setattr(module, "PATIENCE", 0.0)

    await reaper.look()

    assert set() == await zombies_but(before)


async def test_status_that_somebody_waits_for_is_not_taken():
    before = await zombies()
    mine = spawned("raise SystemExit(7)")
    await eventually(lambda: zombies_but(before))

    await OrphanReaper(tuple).look()

    assert 7 == await asyncio.to_thread(mine.wait)


async def test_detached_process_ends_with_its_generation(site, adopting, caplog):
    site.install("v1.0.0", programs.DETACHES)
    await site.open(stop_timeout=2)
    await site.supervisor.start()
    await eventually((site.root / "detached").exists)
    await site.answers("v1.0.0")
    detached = int((site.root / "detached").read_text())
    site.install("v1.1.0")

    await renew(site.generations)
    await site.only(2)

    assert ["v1.1.0"] * 30 == [await site.ask() for _ in range(30)]
    assert start_time(detached) is None
    assert any("sessions of its own" in message for message in caplog.messages)


async def test_program_that_goes_into_the_background_is_told_to_stay(site, adopting):
    site.install("v1.0.0")
    await site.open(start_grace=30, stop_timeout=2)
    await site.supervisor.start()
    (site.root / "daemonize").touch()
    site.install("v1.1.0", programs.DETACHES)

    with pytest.raises(StartFailed, match="run it in the foreground"):
        await renew(site.generations)

    assert "v1.0.0" == await site.ask()


async def test_process_without_the_mark_is_spared(site, adopting):
    """What hooks and helpers of dewy leave running is not a generation's."""
    other = await left("detached")
    orphan = int(await asyncio.to_thread(other.stdout.readline))
    site.install("v1")
    await site.open(stop_timeout=2)
    await site.supervisor.start()

    await site.supervisor.stop()

    lives = start_time(orphan) is not None
    await end(other)
    assert lives
