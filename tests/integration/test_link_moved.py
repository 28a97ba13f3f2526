"""`current` moved under dewy, and a program that dies while the next one is tried."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.publishing import put
from tests.standins.site import Dewy

OLD, NEW, NEXT = "v1.0.0", "v1.1.0", "v1.2.0"
GRACE = ["--ready", "grace", "--start-grace", "100ms"]


def move(root: Path, version: str) -> None:
    """`ln -sfn releases/… current`."""
    (directory,) = (d for d, v in roots.releases(root).items() if v == version)
    (root / "draft").symlink_to(f"releases/{directory}")
    (root / "draft").replace(root / "current")


def leads_to(root: Path) -> str:
    return (root / "current" / "VERSION").read_text()


async def test_link_moved_by_hand_starts_nothing_else(tmp_path, unused_tcp_port):
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(OLD)
    async with dewy:
        await dewy.runs(OLD)
        dewy.publish(NEW)
        await dewy.runs(NEW)
        await asyncio.to_thread(move, dewy.root, OLD)
        dewy.signal(signal.SIGHUP)
        await dewy.until(
            lambda now: [3] == [each["generation"] for each in now["generations"]]
        )

        assert NEW == await dewy.fetch()
        assert NEW == await asyncio.to_thread(leads_to, dewy.root)
        assert "dewy rollback" in dewy.log


@pytest.mark.parametrize("command", ["server", "assets"])
async def test_release_deployed_by_another_program_meanwhile_runs(
    tmp_path, unused_tcp_port, command
):
    """The registry is away, so that nothing else could bring it back."""
    port = unused_tcp_port if command == "server" else 0
    dewy = Dewy(tmp_path, port, command=command)
    dewy.publish(OLD)
    async with dewy:
        await dewy.until(lambda now: now["running"])
    deploy_as_the_original_does(dewy.root, NEW)
    dewy.registry.rename(tmp_path / "away")
    async with dewy:
        await dewy.until(lambda now: (now["running"] or {}).get("tag") == NEW)
        if port:
            assert NEW == await dewy.fetch()
        assert NEW == await asyncio.to_thread(leads_to, dewy.root)
    assert dewy.log.count("Adopted release that another program deployed") == 1


def deploy_as_the_original_does(root: Path, version: str) -> None:
    """A release directory, the link, and the key of its artifact in the cache."""
    directory = root / "releases" / "20310203T040506Z"
    programs.unpacked(directory, programs.files(version))
    key = root / ".dewy" / "cache" / "current"
    key.parent.mkdir(exist_ok=True)
    key.write_text(f"{version}--app.tar.gz")
    (root / "current").unlink()
    (root / "current").symlink_to(directory)


async def test_program_killed_while_the_next_never_gets_ready_serves_again(
    tmp_path, unused_tcp_port
):
    dewy = Dewy(
        tmp_path,
        unused_tcp_port,
        options=[*GRACE, "--health-path", "/up", "--health-timeout", "10m"],
    )
    dewy.publish(OLD)
    async with dewy:
        status = await dewy.runs(OLD)
        content = programs.files(NEW, programs.NEVER_READY)
        put(dewy.registry, NEW, {"app.tar.gz": programs.tarball(content)})
        await dewy.until(lambda now: len(now["generations"]) == 2)
        os.kill(status["generations"][0]["pid"], signal.SIGKILL)
        # Three times its start-up time and the two seconds of grace.
        async with asyncio.timeout(3 * 2.5):
            await eventually(lambda: serves(dewy, OLD))

        # It counts as started only a moment after it answers.
        await eventually(lambda: NEW == leads_to(dewy.root))
        assert OLD == (await dewy.ask("status"))["running"]["tag"]


async def serves(dewy: Dewy, version: str) -> bool:
    return version == await dewy.fetch()
