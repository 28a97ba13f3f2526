"""The seams to the machine."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dewy import system
from dewy.system import Clock, is_cancelled
from tests.eventually import soon

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_monotonic_clock_does_not_go_back() -> None:
    clock = Clock()

    assert clock.monotonic() <= clock.monotonic()


def test_wall_clock_is_of_the_epoch() -> None:
    now = datetime.now(UTC)

    assert abs(system.utc(Clock().wall()) - now) < timedelta(minutes=1)


def test_jitter_is_within_unit_interval() -> None:
    assert all(0 <= Clock().jitter() <= 1 for _ in range(100))


def test_clocks_are_replaceable() -> None:
    clock = Clock(wall=lambda: 7.0)

    assert datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC) == system.utc(clock.wall())


@pytest.mark.parametrize(
    ("name", "expected"), [("Web-01.Example", "web-01.example"), ("", "unknown-host")]
)
def test_host_name_is_lower_case_and_never_empty(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)

    assert expected == system.hostname()


@linux
def test_boot_has_an_identity() -> None:
    assert system.boot_id()
    assert system.boot_id() == system.boot_id()


@linux
def test_process_start_time_is_stable() -> None:
    started = system.start_time(os.getpid())

    assert started
    assert started == system.start_time(os.getpid())


@linux
def test_process_may_be_called_anything(tmp_path: Path) -> None:
    """The kernel puts the name between brackets, whatever is in it."""
    program = tmp_path / "a) Z (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        try:
            started = system.start_time(process.pid)
            assert started is not None
            assert started >= (system.start_time(os.getpid()) or 0)
        finally:
            process.kill()


@linux
def test_process_that_is_gone_has_no_start() -> None:
    """A zombie is gone, too: it holds nothing any more."""
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert system.start_time(process.pid) is None

    process.wait()
    assert system.start_time(process.pid) is None


def test_killed_process_is_reaped_without_being_waited_for() -> None:
    process = subprocess.Popen(["sleep", "600"])
    system.reap_later(process)
    process.kill()

    soon(lambda: process.returncode is not None)

    assert -signal.SIGKILL == process.returncode


def test_descriptor_limit_is_raised_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Programs that dewy starts get back what there was before the first call."""
    monkeypatch.setattr(system, "_descriptors", None)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert system.descriptor_limit() is None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
        for _ in range(2):
            system.raise_descriptor_limit()
            assert (before[1],) * 2 == resource.getrlimit(resource.RLIMIT_NOFILE)
            assert before[0] - 1 == system.descriptor_limit()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_some_cpu_is_usable() -> None:
    assert system.usable_cpus() >= 1


async def test_a_thread_is_over_before_its_cancellation_is() -> None:
    """However often it is cancelled: what is undone next must not meet it."""
    begun, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        goes_on.wait(20)
        ended.set()
        raise LookupError("nobody asks any more")

    task = asyncio.create_task(system.to_the_end(work))
    await asyncio.to_thread(begun.wait, 20)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    goes_on.set()
    await asyncio.wait({task})

    assert task.cancelled()
    assert ended.is_set()


async def test_a_thread_gives_its_result_or_its_error() -> None:
    assert 5 == await system.to_the_end(len, "abcde")
    with pytest.raises(ZeroDivisionError):
        await system.to_the_end(divmod, 1, 0)


async def test_a_lost_cancellation_is_repeated() -> None:
    """Until the work has ended, however it does."""
    lost: list[bool] = []

    async def work() -> None:
        while len(lost) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append(True)
        raise LookupError("nobody asks any more")

    task = asyncio.create_task(system.for_certain(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert 2 == len(lost)


async def test_work_gives_its_result_or_its_error() -> None:
    async def work(number: int) -> float:
        return 1 / number

    assert 0.5 == await system.for_certain(work(2))
    with pytest.raises(ZeroDivisionError):
        await system.for_certain(work(0))


async def test_is_cancelled_ignores_cancellation_of_awaited_future():
    found = []

    async def waits(other: asyncio.Future[None]) -> None:
        try:
            await other
        except asyncio.CancelledError:
            found.append(is_cancelled())

    for cancelled in (False, True):
        other = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waits(other))
        await asyncio.sleep(0)
        (task if cancelled else other).cancel()
        await asyncio.wait({task})

    assert [False, True] == found
