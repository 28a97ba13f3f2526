"""
Verbs while something else goes on: they act at once, and say only what is true.

The first step is printed within a second and what runs is the previous version
within its start-up time and three seconds; both are held with threefold slack.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.standins import programs
from tests.standins.roots import say
from tests.standins.site import Dewy
from tests.standins.systemd import Manager

FIRST_STEP, BACK = 3 * 1.0, 3 * 3.0
WAITING = "touch began; until [ -e go-on ]; do sleep 0.05; done"
"""A hook that waits for a file in the root."""


async def saying(root: Path, *arguments: str) -> Process:
    """Start `dewy ARGUMENTS` in *root*, to be read line by line."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dewy", *arguments),
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=PIPE,
        stderr=PIPE,
    )


async def rolled_back(dewy: Dewy, version: str) -> list[str]:
    """Say `dewy rollback`, hold it to its times; return its lines."""
    process = await saying(dewy.root, "rollback")
    assert process.stdout
    begun = time.monotonic()
    first = await process.stdout.readline()
    # The interpreter's own start counts in: generous on a busy machine.
    assert time.monotonic() - begun < FIRST_STEP + BACK, first
    await dewy.runs(version)
    out, err = await process.communicate()
    assert 0 == process.returncode, err
    return [line.decode().strip() for line in [first, *out.splitlines()]]


@pytest.fixture
def dewy(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    return Dewy(tmp_path, unused_tcp_port)


async def deploy_first(dewy: Dewy, *versions: str) -> None:
    (dewy.root / "go-on").touch()
    for version in versions:
        dewy.publish(version)
        await dewy.runs(version)
        await dewy.until(lambda now: now["underway"] is None)
    (dewy.root / "go-on").unlink()
    (dewy.root / "began").unlink(missing_ok=True)


def program_of(dewy: Dewy, version: str) -> Path:
    """The file of the program of *version*, in its release directory."""
    kept = (dewy.root / "releases").glob("*/VERSION")
    return next(e.parent for e in kept if e.read_text() == version) / "program.py"


async def test_rollback_during_the_before_hook_cancels_the_deployment(dewy):
    dewy.options = ("--before-deploy-hook", WAITING)
    async with dewy:
        await deploy_first(dewy, "v1.0.0", "v1.1.0")
        dewy.publish("v1.2.0")
        await eventually((dewy.root / "began").exists)

        lines = await rolled_back(dewy, "v1.1.0")

        assert "cancelling the deployment of v1.2.0" == lines[0]
        assert lines[-1].startswith("v1.2.0 was not deployed and stays out until")
        assert "v1.1.0" == await dewy.fetch()


@pytest.mark.parametrize("command", [["rollback"], ["hold"], ["abort"]], ids=str)
async def test_program_that_never_gets_ready_is_given_up_at_once(dewy, command):
    dewy.options = ("--ready", "notify", "--start-timeout", "10m")
    async with dewy:
        await deploy_first(dewy, "v1.0.0", "v1.1.0")
        dewy.publish("v1.2.0", programs.NEVER_READY)
        await dewy.until(lambda now: (now["underway"] or {}).get("step") == "start")

        said = await say(dewy.root, *command)

        assert 0 == said.status, said.err
        assert "v1.2.0" in said.out
        # After an abort the next poll tries it again, beside what runs.
        status = await dewy.until(lambda now: "v1.1.0" == now["running"]["tag"])
        assert "v1.1.0" == await dewy.fetch()
        assert ("hold" in command) == status["hold"]
        kept_out = [entry["tag"] for entry in status["quarantine"]]
        assert (["v1.2.0"] if "rollback" in command else []) == kept_out


async def test_rollback_during_the_after_hook_goes_back(dewy):
    dewy.options = (
        "--after-deploy-hook",
        f'[ "$DEWY_OUTCOME" = deployed ] || exit 0; {WAITING}',
    )
    async with dewy:
        await deploy_first(dewy, "v1.0.0", "v1.1.0")
        dewy.publish("v1.2.0")
        await eventually((dewy.root / "began").exists)
        assert "v1.2.0" == await dewy.fetch()

        lines = await rolled_back(dewy, "v1.1.0")

        assert "starting v1.1.0" == lines[0]
        assert lines[-1].startswith("rolled back to v1.1.0")
        assert "v1.1.0" == await dewy.fetch()
        (dewy.root / "go-on").touch()
        await eventually(lambda: "Deployment was superseded" in dewy.log)


async def test_rollback_is_dropped_when_its_command_is_interrupted(dewy):
    dewy.options = ("--ready", "notify", "--start-timeout", "10m")
    async with dewy:
        await deploy_first(dewy, "v1.0.0", "v1.1.0")
        # What it would go back to never says that it is ready.
        program_of(dewy, "v1.0.0").write_text(programs.NEVER_READY)
        process = await saying(dewy.root, "rollback")
        assert process.stdout
        assert b"starting v1.0.0\n" == (await process.stdout.readline()).lstrip()
        process.terminate()
        await process.communicate()

        status = await dewy.until(lambda now: now["underway"] is None)
        assert [] == status["quarantine"]
        await dewy.runs("v1.1.0")
        assert "v1.1.0" == await dewy.fetch()


async def test_rollback_acts_while_the_program_starts_at_boot(dewy):
    dewy.options = ("--ready", "notify", "--start-timeout", "10m")
    async with dewy:
        await deploy_first(dewy, "v1.0.0", "v1.1.0")
    program_of(dewy, "v1.1.0").write_text(programs.NEVER_READY)
    with Manager(dewy.base / "manager.sock") as manager:
        dewy.variables = {"NOTIFY_SOCKET": manager.address}
        async with dewy:
            status = await dewy.until(lambda now: now["generations"])
            assert "the program is starting" in status["degraded"]
            assert not status["healthy"]

            lines = await rolled_back(dewy, "v1.0.0")

            assert lines[-1].startswith("rolled back to v1.0.0")
            assert "v1.0.0" == await dewy.fetch()
            status = await dewy.until(lambda now: now["last_poll"])
            assert "v1.0.0" == status["running"]["tag"]
            await manager.hears(lambda heard: "READY=1" in heard)
            told = manager.heard[manager.heard.index("READY=1") + 1]
            assert "STATUS=v1.0.0 runs" == told


async def test_hold_and_stop_act_while_the_program_starts_at_boot(dewy):
    dewy.options = ("--ready", "notify", "--start-timeout", "10m")
    async with dewy:
        await deploy_first(dewy, "v1.0.0")
    program_of(dewy, "v1.0.0").write_text(programs.NEVER_READY)
    async with dewy:
        await dewy.until(lambda now: now["generations"])
        said = await say(dewy.root, "abort")
        assert 1 == said.status, said
        said = await say(dewy.root, "hold")
        assert 0 == said.status, said
        status = await dewy.until(lambda now: now["hold"])
        assert "the program is starting" in status["degraded"]
        begun = time.monotonic()
    assert time.monotonic() - begun < BACK


async def test_verb_is_answered_by_dewy_that_is_starting(dewy):
    async with dewy:
        await deploy_first(dewy, "v1.0.0")
    with socket.create_server(("127.0.0.1", dewy.port)):
        # It has the root, and waits for the port before it answers commands.
        async with dewy:
            private = dewy.root / ".dewy"
            await eventually(lambda: "starting" in (private / "lock").read_text())
            said = await say(dewy.root, "hold")
            assert 0 != await dewy.exit_status()
        assert (0, "") == (said.status, said.err)
        assert said.out.startswith("held")


async def lose(dewy: Dewy) -> None:
    """Remove the files of what runs, and wait until they are fetched again."""
    shutil.rmtree((dewy.root / "current").resolve())
    await eventually((dewy.root / "began").exists)
    assert "Release is gone from this host" in dewy.log


async def test_rollback_without_a_target_leaves_lost_release_to_be_fetched(dewy):
    dewy.options = ("--before-deploy-hook", WAITING)
    async with dewy:
        await deploy_first(dewy, "v1.1.0")
        pid = (await dewy.until(lambda now: now["generations"]))["generations"][0][
            "pid"
        ]
        await lose(dewy)

        said = await say(dewy.root, "rollback")
        assert 1 == said.status, said
        assert "nothing to roll back to" in said.err
        os.kill(pid, signal.SIGKILL)
        (dewy.root / "go-on").touch()

        status = await dewy.until(
            lambda now: (
                now["underway"] is None
                and any("serving" == each["state"] for each in now["generations"])
            )
        )
        assert ([], []) == (status["quarantine"], status["degraded"])
        assert "v1.1.0" == await dewy.fetch()


async def test_rollback_during_fetch_of_lost_release_uses_kept_release(dewy):
    dewy.options = ("--before-deploy-hook", WAITING)
    async with dewy:
        await deploy_first(dewy, "v1.0.0", "v1.1.0")
        await lose(dewy)

        lines = await rolled_back(dewy, "v1.0.0")

        assert lines[-1].startswith("rolled back to v1.0.0; v1.1.0 stays out")
        assert "v1.0.0" == await dewy.fetch()


async def test_rollback_during_automatic_rollback_has_no_effect(dewy):
    dewy.options = ("--ready", "grace", "--start-grace", "2s")
    async with dewy:
        for version in ("v1.5.0", "v1.7.0"):
            dewy.publish(version, programs.SILENT)
            await dewy.runs(version)
        dewy.publish("v1.8.0", programs.MORTAL)
        await dewy.runs("v1.8.0")
        await dewy.until(lambda now: now["underway"] is None)
        (dewy.root / "die").touch()
        await dewy.until(lambda now: now["quarantine"])

        said = await say(dewy.root, "rollback")

        assert 0 == said.status, said
        assert "v1.8.0 was left already" in said.out
        status = await dewy.runs("v1.7.0")
        assert ["v1.8.0"] == [each["tag"] for each in status["quarantine"]]
