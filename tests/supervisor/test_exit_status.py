"""How child processes end."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess

import pytest

from dewy.supervisor.processes import describe_exit
from dewy.system import wait_pid


async def test_wait_pid_does_not_reap_process():
    with subprocess.Popen(["sh", "-c", "exit 7"]) as process:  # noqa: ASYNC220
        await asyncio.wait_for(wait_pid(process.pid), 20)

        assert 7 == process.poll()


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, "exit status 0"), (-11, "killed by SIGSEGV"), (-99, "killed by signal 99")],
)
def test_exits_are_told_in_words(code: int, expected: str):
    assert expected == describe_exit(code)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE, errno.EPERM])
async def test_child_exit_is_detected_without_pidfd(
    monkeypatch: pytest.MonkeyPatch, number: int
):
    """Old kernels and strict sandboxes have none, and they may run out."""

    def refuse(pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with subprocess.Popen(["sh", "-c", "exit 7"]) as process:  # noqa: ASYNC220
        await asyncio.wait_for(wait_pid(process.pid), 20)

        assert 7 == process.poll()
