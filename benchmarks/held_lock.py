"""
`dewy`, with a thread that holds the interpreter lock asleep half a second at a time.

    python -m benchmarks.held_lock proxy --listen … --backend …

An imported SDK, a garbage collection or a deployment may keep the lock for long;
clients must not notice. The thread begins when SIGUSR2 arrives.
"""

from __future__ import annotations

import ctypes
import signal
import threading

from dewy.cli import main

HELD_MICROSECONDS = 500_000


def hold() -> None:
    """Sleep with the lock held, again and again."""
    # PyDLL, unlike CDLL, keeps the lock while the function runs.
    process = ctypes.PyDLL(None)
    while True:
        process.usleep(HELD_MICROSECONDS)


def begin(*_: object) -> None:
    """Start holding."""
    threading.Thread(target=hold, name="holder", daemon=True).start()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, begin)
    main()
