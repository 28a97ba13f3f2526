from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dewy.deploy import hooks
from dewy.deploy.hooks import KEPT, HookKind, HookResult
from dewy.system import start_time
from tests.eventually import eventually, soon
from tests.needs import needs
from tests.standins.fuse import hung


async def run(
    command: str,
    cwd: Path,
    limit: float = 20,
    kind: HookKind = HookKind.BEFORE,
    **variables: str,
) -> HookResult:
    return await hooks.run(
        command, kind=kind, cwd=cwd, variables=variables, timeout=limit
    )


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(soon, condition)


def gone(pid: int) -> bool:
    return start_time(pid) is None


@pytest.fixture
def left() -> Iterator[list[int]]:
    """Processes to end after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_hook_runs_in_its_directory(tmp_path: Path) -> None:
    result = await run("echo out; echo err >&2; pwd; cat", tmp_path)

    assert result.success
    assert (f"out\n{tmp_path}", "err", 0) == (
        result.stdout,
        result.stderr,
        result.exit_code,
    )
    assert "" == result.reason
    assert result.duration > 0


async def test_hook_environment_contains_deployment_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks had no way to know which version they run for."""
    monkeypatch.setenv("OURS", "inherited")
    command = 'echo "$DEWY_TAG $DEWY_OUTCOME $OURS"'
    result = await run(command, tmp_path, DEWY_TAG="v1", DEWY_OUTCOME="deployed")

    assert "v1 deployed inherited" == result.stdout


async def test_hook_does_not_get_our_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC"):
        monkeypatch.setenv(name, "ours")
    result = await run("env", tmp_path)

    assert "=ours" not in result.stdout


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
async def test_failure_is_told(tmp_path: Path, command: str, code: int) -> None:
    result = await run(command, tmp_path)

    assert not result.success
    assert (code, f"exit code {code}") == (result.exit_code, result.reason)


async def test_hook_that_cannot_run_has_failed(tmp_path: Path) -> None:
    result = await run("true", tmp_path / "missing")

    assert (1, False) == (result.exit_code, result.success)
    assert "missing" in result.stderr


async def test_background_process_does_not_block(
    tmp_path: Path, left: list[int]
) -> None:
    """A child that kept the hook's output open blocked the original for ever."""
    result = await run("sleep 60 & echo $!", tmp_path)
    left.append(int(result.stdout))

    assert result.success
    assert not gone(left[0])


async def test_hook_has_the_standard_descriptors_alone(tmp_path: Path) -> None:
    """Neither what dewy inherited, nor copies of its own output."""
    with open(tmp_path / "inherited", "w") as file:  # noqa: ASYNC230
        os.set_inheritable(file.fileno(), True)
        result = await run("exec ls /proc/self/fd", tmp_path)

    # The last one is that of the directory, which ls reads.
    assert ["0", "1", "2", "3"] == result.stdout.split()


async def test_time_limit_ends_the_whole_group(tmp_path: Path, left: list[int]) -> None:
    result = await run("sleep 60 & echo $!; sleep 60", tmp_path, limit=0.2)
    left.append(int(result.stdout))

    assert not result.success
    assert result.timed_out
    assert "time limit reached" in result.reason
    await until(lambda: gone(left[0]))


async def test_hook_that_ends_politely_after_the_limit_has_failed(
    tmp_path: Path,
) -> None:
    command = "trap 'echo bye; exit 0' TERM; while :; do sleep 0.01; done"
    result = await run(command, tmp_path, limit=0.3)

    assert ("bye", 0, False) == (result.stdout, result.exit_code, result.success)


async def test_hook_that_ignores_the_limit_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "STOP_GRACE", 0.05)
    command = "trap '' TERM; echo ready; while :; do sleep 0.01; done"
    result = await run(command, tmp_path, limit=0.3)

    assert (128 + signal.SIGKILL, True) == (result.exit_code, result.timed_out)


async def test_cancelled_hook_is_ended(tmp_path: Path, left: list[int]) -> None:
    """Stopping dewy does not leave a hook running."""
    note = tmp_path / "pid"
    command = f"echo $$ > {note}.tmp; mv {note}.tmp {note}; sleep 60"
    work = asyncio.create_task(run(command, tmp_path))
    await until(note.exists)
    left.append(int(note.read_text()))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    await until(lambda: gone(left[0]))


async def test_cancellation_at_the_moment_of_the_end_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dewy was told to stop, heard of the end at the same time, and went on."""
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waits = asyncio.Event()

    class Ending:
        def __init__(self, process: object) -> None:
            pass

        async def wait(self) -> int:
            waits.set()
            return await over

    monkeypatch.setattr(hooks, "_spawn", lambda *given: None)
    monkeypatch.setattr(hooks, "_Shell", Ending)
    monkeypatch.setattr(hooks, "_signal", lambda process, number: None)
    running = asyncio.create_task(run("true", tmp_path))
    await waits.wait()

    over.set_result(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_end_of_long_output_is_kept(tmp_path: Path) -> None:
    result = await run("yes 0123456789abcde | head -n 100000; echo end", tmp_path)

    assert KEPT - 1 == len(result.stdout)
    assert result.stdout.endswith("0123456789abcde\nend")


async def test_output_need_not_be_text(tmp_path: Path) -> None:
    assert "\ufffdx" == (await run(r"printf '\377x'", tmp_path)).stdout


@pytest.mark.parametrize(
    ("command", "level", "message"),
    [
        ("echo out; echo err >&2", logging.INFO, "Execute hook"),
        ("echo out; echo err >&2; exit 1", logging.ERROR, "Execute hook failed"),
    ],
)
async def test_log_tells_command_outcome_and_output(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    command: str,
    level: int,
    message: str,
) -> None:
    caplog.set_level(logging.DEBUG, "dewy")
    await run(command, tmp_path, kind=HookKind.AFTER)

    [record] = [r for r in caplog.records if r.name.startswith("dewy")]
    assert (level, message) == (record.levelno, record.message)
    assert record.__dict__["hook"] == "After Deploy"
    told = [record.__dict__[key] for key in ("command", "stdout", "stderr")]
    assert [command, "out", "err"] == told


async def test_hooks_leave_no_descriptors(tmp_path: Path) -> None:
    await run("true", tmp_path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        await run("true", tmp_path)

    assert before == len(os.listdir("/dev/fd"))


async def test_hook_without_descriptors_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told like any failure: after a deployment it must not end what is left to do."""

    def refuse() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("os.pipe", refuse)
    result = await run("exit 0", tmp_path)

    assert not result.success
    assert not result.ran
    assert 1 == result.exit_code
    assert "Too many open files" in result.stderr


async def test_output_of_background_process_is_discarded(
    tmp_path: Path, left: list[int]
) -> None:
    """It filled the disk from a file that nothing could see; and it is not ended."""
    count = tmp_path / "count"
    writer = (
        "i=0; while :; do head -c 65536 /dev/zero || exit; "
        f"i=$((i+1)); echo $i > {count}.tmp; mv {count}.tmp {count}; done"
    )
    pid = tmp_path / "pid"
    result = await run(f"{{ {writer}; }} & echo $! > {pid}", tmp_path)
    left.append(int(pid.read_text()))

    assert result.success
    await eventually(lambda: count.exists() and int(count.read_text()) > 5)
    files = [os.readlink(f"/proc/{left[0]}/fd/{fd}") for fd in (1, 2)]
    assert all(each.startswith("pipe:") for each in files)
    os.kill(left.pop(), signal.SIGKILL)


@needs("fuse")
async def test_hook_that_nothing_can_kill_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "STOP_GRACE", 0.5)
    directory = tmp_path / "hung"
    directory.mkdir()
    with hung(directory):
        result = await run("echo $$ > pid; exec cat hung/file", tmp_path, limit=3)

        assert (128 + signal.SIGKILL, True) == (result.exit_code, result.timed_out)
        pid = int((tmp_path / "pid").read_text())
        assert not gone(pid)
    await until(lambda: gone(pid))
