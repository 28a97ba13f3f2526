"""One generation as a process: started, watched, ended."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.errors import StartFailed
from dewy.logs import detail_of
from dewy.supervisor.environment import GENERATION
from dewy.supervisor.worker import Worker
from tests.eventually import eventually


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker(1, capture=True)
    yield made
    await made.stop(0)


def spawn(worker: Worker, cwd: Path, code: str, passed: tuple[int, ...] = ()) -> None:
    worker.spawn((sys.executable, "-S", "-c", code), cwd, os.environ, passed)


async def test_worker_executes_program_after_go(worker: Worker, tmp_path: Path):
    spawn(worker, tmp_path, "open('ran', 'w')")
    assert worker.alive
    assert worker.started > 0

    await worker.go("program")

    assert 0 == await asyncio.wait_for(worker.exited, 20)
    assert (tmp_path / "ran").exists()


async def test_worker_leads_own_session_and_process_group(
    worker: Worker, tmp_path: Path
):
    spawn(worker, tmp_path, "import signal; signal.pause()")

    assert (worker.pid, worker.pid) == (os.getsid(worker.pid), os.getpgid(worker.pid))


async def test_its_last_lines_are_kept(worker: Worker, tmp_path: Path):
    spawn(worker, tmp_path, "import sys; print('out'); sys.exit('err')")
    await worker.go("program")
    await asyncio.wait_for(worker.exited, 20)

    assert {"out", "err"} == set(worker.tail)
    failure = worker.failure("ended")
    assert "generation 1 ended (exit status 1)" == str(failure)
    assert failure.detail in {"out", "err"}


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        (True, "it binds the port that dewy passes on as descriptor 3"),
        (False, "its port is in use: with --port dewy opens one for all"),
    ],
)
async def test_program_that_binds_its_port_itself_gets_a_hint(
    worker: Worker, tmp_path: Path, passed: bool, told: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code = f"import socket; socket.socket().bind({taken.getsockname()!r})"
        spawn(worker, tmp_path, code, (taken.fileno(),) if passed else ())
        await worker.go("program")
        await asyncio.wait_for(worker.exited, 20)

    failure = worker.failure("ended")
    assert str(failure).startswith("generation 1 ended (exit status 1); it")
    assert told in str(failure)
    assert "already in use" in failure.detail


async def test_unexecutable_program_is_named_in_error(worker: Worker, tmp_path: Path):
    worker.spawn(("current/shop",), tmp_path, os.environ, ())

    with pytest.raises(
        StartFailed, match="current/shop cannot be executed: No such file"
    ):
        await worker.go("current/shop")


async def test_waiting_ends_with_the_process(worker: Worker, tmp_path: Path):
    spawn(worker, tmp_path, "raise SystemExit(4)")
    await worker.go("program")

    with pytest.raises(StartFailed, match="exit status 4"):
        await worker.unless_ended(asyncio.sleep(3600))


async def test_unless_ended_propagates_awaited_outcome(worker: Worker, tmp_path: Path):
    spawn(worker, tmp_path, "import signal; signal.pause()")

    async def broken() -> None:
        raise LookupError("mine")

    await worker.unless_ended(asyncio.sleep(0))
    with pytest.raises(LookupError, match="mine"):
        await worker.unless_ended(broken())


async def test_stop_of_unspawned_worker_returns_at_once():
    worker = Worker(1, capture=True)

    await worker.stop(3600)

    assert not worker.alive


async def test_a_process_that_cannot_be_made_leaves_nothing(tmp_path: Path):
    worker = Worker(1, capture=True)

    with pytest.raises(OSError, match="none"):
        worker.spawn(("true",), tmp_path / "none", os.environ, ())

    await worker.stop(0)
    assert not worker.alive


async def test_sigkill_follows_sigterm(tmp_path: Path):
    worker = Worker(1, capture=True)
    spawn(
        worker,
        tmp_path,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('deaf', 'w').close()\n"
        "time.sleep(3600)",
    )
    await worker.go("program")
    await eventually((tmp_path / "deaf").exists)

    await worker.stop(0.05)

    assert -signal.SIGKILL == worker.exited.result()


async def test_without_capture_output_is_inherited(tmp_path: Path):
    worker = Worker(1, capture=False)
    spawn(worker, tmp_path, "pass")
    await worker.go("program")
    await asyncio.wait_for(worker.exited, 20)
    await worker.stop(0)

    assert () == worker.tail


async def test_child_in_own_process_group_is_killed_with_worker(tmp_path: Path):
    """It shares the session, not the group, and both are deaf to SIGTERM."""
    worker = Worker(1, capture=True)
    spawn(
        worker,
        tmp_path,
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "os.setpgid(child, 0) if child else None\n"
        "child and open('deaf', 'w').close()\n"
        "time.sleep(3600)",
    )
    await worker.go("program")
    await eventually((tmp_path / "deaf").exists)

    await asyncio.wait_for(worker.stop(0.05), 10)

    assert -signal.SIGKILL == worker.exited.result()


async def test_a_group_is_not_signalled_once_its_leader_is_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """From then on its number may be somebody else's."""
    worker = Worker(1, capture=False)
    spawn(worker, tmp_path, "pass")
    await worker.go("program")
    await worker.exited
    await worker.stop(20)
    worker.exited = worker.loop.create_future()  # its output is still flushed
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, number: killed.append(pid))

    worker.kill()

    assert [] == killed


async def test_the_last_line_in_a_reason_commands_no_terminal(
    worker: Worker, tmp_path: Path
):
    spawn(worker, tmp_path, r"raise SystemExit('\x1b]0;owned\x07 no\rdatabase')")
    await worker.go("program")
    await asyncio.wait_for(worker.exited, 20)

    reason = detail_of(worker.failure("ended"))

    assert "database" in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    "problem",
    [OSError(errno.ENFILE, "too many"), RuntimeError("can't start new thread")],
    ids=["no-descriptor", "no-thread"],
)
async def test_end_is_told_where_leftovers_cannot_be_looked_for(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
):
    def look(pid: int) -> set[int]:
        raise problem

    monkeypatch.setattr("dewy.supervisor.worker.members", look)
    spawn(worker, tmp_path, "raise SystemExit(3)")
    await worker.go("program")

    async with asyncio.timeout(60):
        assert 3 == await worker.exited
        await worker.stop(60)


async def test_death_is_answered_while_another_process_cannot_be_read(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Reading the environment of one whose memory is locked does not end."""
    readable = threading.Event()

    def look(marked: object) -> dict[int, int]:
        readable.wait(60)
        return {}

    monkeypatch.setattr("dewy.supervisor.worker.bearers", look)
    monkeypatch.setattr("dewy.supervisor.processes.LOOKING", 0.1)
    marked = {**os.environ, GENERATION: "1@test@/"}
    program = (sys.executable, "-S", "-c", "raise SystemExit(3)")
    worker.spawn(program, tmp_path, marked, ())
    try:
        await worker.go("program")
        async with asyncio.timeout(20):
            assert 3 == await worker.exited
            await worker.stop(60)
    finally:
        readable.set()
