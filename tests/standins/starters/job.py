"""
A worker without ports: does the jobs that lie in `jobs`, one after the other.

A job is its own when it has moved it away. On SIGTERM it ends between two jobs.
"""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

VERSION = Path(__file__).with_name("VERSION").read_text().strip()
LOOK = 0.01

assert os.environ["SERVER_STARTER_PORT"] == ""
assert "LISTEN_FDS" not in os.environ

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())

while not stopping.wait(LOOK):
    for job in sorted(Path("jobs").iterdir())[:1]:
        taken = Path("taken") / job.name
        with suppress(FileNotFoundError):
            job.rename(taken)
            with open(f"done/{job.name}", "x") as done:
                done.write(VERSION)
