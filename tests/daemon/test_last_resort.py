"""Leaving what does not end."""

from __future__ import annotations

import subprocess
import sys
import threading

from dewy.daemon import LastResort

HANGS = """
import asyncio, time
from dewy import loop
from dewy.daemon import LastResort

async def main():
    last_resort.within(0.2, lambda: print("killed", flush=True))
    time.sleep(3600)

with LastResort() as last_resort:
    loop.run(main())
"""


def test_process_whose_loop_hangs_is_left_with_a_failure() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60
    )

    assert (1, "killed\n") == (done.returncode, done.stdout)


def test_earliest_deadline_counts() -> None:
    left = threading.Event()
    with LastResort(lambda status: left.set()) as last_resort:
        last_resort.within(3600)
        last_resort.within(0.01)
        last_resort.within(3600)

        assert left.wait(60)


def test_process_that_comes_to_its_end_is_not_left() -> None:
    left: list[int] = []
    with LastResort(left.append) as last_resort:
        last_resort.within(3600)
    watching = [each for each in threading.enumerate() if each.name == "last resort"]
    for each in watching:
        each.join(60)

    assert [] == left
    assert not any(each.is_alive() for each in watching)


def test_failure_to_kill_does_not_keep_the_process() -> None:
    left = threading.Event()

    def fail() -> None:
        raise ProcessLookupError

    unheard, threading.excepthook = threading.excepthook, lambda args: None
    try:
        with LastResort(lambda status: left.set()) as last_resort:
            last_resort.within(0.01, fail)

            assert left.wait(60)
    finally:
        threading.excepthook = unheard
