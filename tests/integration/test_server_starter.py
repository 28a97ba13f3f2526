"""The ways of Server::Starter, in the order of its own test suite's scenarios."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from dewy.demo.scenario import PROGRAM
from dewy.system import start_time
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.restarts import children, generation, restart
from tests.standins.site import Dewy, Status

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
KILLED = "Killed generation that did not end"
FAILED = "Restart failed; the old generation serves on"


def answering(expression: str, trouble: str = "") -> str:
    """A web server that answers *expression*, and runs *trouble* before it serves."""
    source = PROGRAM.read_text().replace("{VERSION}\\n", f"{{{expression}}}\\n")
    first = "GENERATION = int(os.environ['SERVER_STARTER_GENERATION'])"
    return source.replace("VERSION = Path", f"{first}\n{trouble}\nVERSION = Path", 1)


def states(status: Status) -> list[tuple[int, str]]:
    return [(g["generation"], g["state"]) for g in status["generations"]]


async def logged(dewy: Dewy, text: str, times: int = 1) -> None:
    await eventually(lambda: dewy.log.count(text) >= times)


@pytest.fixture
def dewy(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.root.mkdir()
    dewy.registry.mkdir()
    return dewy


async def test_failing_start_leaves_the_old_generation_and_counts(dewy: Dewy) -> None:
    """Every attempt takes a number, and none of those that fail costs an answer."""
    fails = "if GENERATION in (2, 3):\n    raise SystemExit('not yet')"
    dewy.publish("v1.0.0", answering("GENERATION", fails))
    async with dewy:
        await dewy.runs("v1.0.0")
        for attempt in (1, 2):
            dewy.signal(signal.SIGHUP)
            await logged(dewy, FAILED, attempt)

            assert "1" == await dewy.fetch()
        dewy.signal(signal.SIGHUP)
        await dewy.until(lambda status: [(4, "serving")] == states(status))

        assert "4" == await dewy.fetch()


async def test_new_generation_that_dies_within_kill_old_delay_spares_the_old(
    dewy: Dewy,
) -> None:
    dies = "GENERATION > 1 and asyncio.get_running_loop().call_later(0.2, os._exit, 1)"
    program = answering("GENERATION").replace(
        "    say_ready()\n", f"    say_ready()\n    {dies}\n"
    )
    dewy.variables = {"KILL_OLD_DELAY": "60"}
    dewy.publish("v1.0.0", program)
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.signal(signal.SIGHUP)
        await logged(dewy, FAILED)

        assert [(1, "serving")] == states(await dewy.ask("status"))
        assert "1" == await dewy.fetch()


async def test_generations_follow_each_other_by_themselves(dewy: Dewy) -> None:
    """With ENABLE_AUTO_RESTART, at an interval."""
    dewy.variables = {
        "ENABLE_AUTO_RESTART": "1",
        "AUTO_RESTART_INTERVAL": "0.5",
        "KILL_OLD_DELAY": "0",
    }
    dewy.publish("v1.0.0", answering("GENERATION"))
    async with dewy:
        await dewy.until(lambda status: (3, "serving") in states(status))


async def test_environment_directory_is_read_anew(dewy: Dewy, tmp_path: Path) -> None:
    """A restart is enough for a changed ENVDIR; what runs keeps what it had."""
    variable = tmp_path / "env" / "GREETING"
    variable.parent.mkdir()
    variable.write_text("hello\n")
    dewy.variables = {"ENVDIR": str(variable.parent)}
    dewy.publish("v1.0.0", answering("os.environ['GREETING']"))
    async with dewy:
        await dewy.runs("v1.0.0")
        variable.write_text("goodbye\n")

        assert "hello" == await dewy.fetch()
        await restart(dewy)
        assert "goodbye" == await dewy.fetch()


async def test_termination_during_a_start_ends_everything(dewy: Dewy) -> None:
    """The old generation and the one that is not ready yet: neither is left."""
    waits = "import time\nif GENERATION > 1:\n    print('waiting', flush=True)\n"
    dewy.publish("v1.0.0", answering("GENERATION", f"{waits}    time.sleep(3600)"))
    dewy.options = ("--ready", "notify", "--start-timeout", "1h")
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.signal(signal.SIGHUP)
        await logged(dewy, "waiting")
        assert dewy.process is not None
        pids = children(dewy.process.pid)

        assert 2 == len(pids)
        assert 0 == await dewy.stop()
        assert {None} == {start_time(pid) for pid in pids}


async def test_stuck_old_generation_is_killed(dewy: Dewy) -> None:
    """SIGTERM, and SIGKILL when its time is up; the new one serves meanwhile."""
    deaf = (
        "import threading, time\n"
        "if GENERATION == 1:\n"
        "    threading.Thread(target=time.sleep, args=[3600]).start()"
    )
    dewy.publish("v1.0.0", answering("GENERATION", deaf))
    dewy.options = ("--stop-timeout", "500ms")
    async with dewy:
        await dewy.runs("v1.0.0")
        await restart(dewy)

        assert KILLED in dewy.log
        assert "2" == await dewy.fetch()


async def test_restart_asked_for_while_an_old_generation_drains_is_not_lost(
    dewy: Dewy,
) -> None:
    """A client that keeps its connection holds its generation, and no other."""
    dewy.publish("v1.0.0", answering("GENERATION"))
    async with dewy:
        await dewy.runs("v1.0.0")
        reader, writer = await asyncio.open_connection("127.0.0.1", dewy.port)
        writer.write(REQUEST)
        assert b"1\n" == (await reader.readuntil(b"\n1\n"))[-2:]
        for number in (2, 3):
            dewy.signal(signal.SIGHUP)
            await dewy.until(
                lambda status, number=number: (  # type: ignore[misc]
                    {(1, "draining"), (number, "serving")} == set(states(status))
                )
            )
        writer.write(REQUEST)

        assert (await reader.read()).endswith(b"close\r\n\r\n1\n")
        assert 3 == await generation(dewy)
        writer.close()
        await writer.wait_closed()


async def test_program_that_keeps_dying_is_started_again(dewy: Dewy) -> None:
    """At once after the first death; whoever connects meanwhile waits."""
    dewy.program = (sys.executable, "-S", "current/program.py")
    dewy.publish("v1.0.0", programs.MORTAL.replace("{VERSION}", "{os.getpid()}"))
    dewy.options = ("--probation", "0")
    async with dewy:
        await dewy.runs("v1.0.0")
        before = await dewy.fetch()
        (dewy.root / "die").touch()
        await logged(dewy, "dying as told")
        (dewy.root / "die").unlink()
        after = await dewy.fetch()

        assert before != after
