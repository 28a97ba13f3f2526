"""Servers in processes of their own, one of each kind for the whole run."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from functools import cache


@cache
def served(module: str) -> str:
    """
    The URL of what `python -m MODULE` serves.

    It prints its port, and ends when its standard input does: it outlives nobody.
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, process)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    return f"http://127.0.0.1:{port}"


def announce(port: int) -> None:
    """Tell the port, as the process that `served` started."""
    print(port, flush=True)  # noqa: T201 - whoever started it reads it
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
