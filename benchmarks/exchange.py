"""
The leanest load: `exchange.c`, which is clients and backend at once.

Where two relays are compared with each other, and not with other proxies, the load
must not be what is short of time: wrk and nginx together cost more than the engine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .contestants import Contestant
from .processes import cpu_seconds, user_seconds
from .workloads import Sample, Workload

SOURCE = Path(__file__).with_suffix(".c")
PATIENCE = 30.0

Measure = Callable[[Workload, Contestant, int], Sample]


def built(directory: Path) -> Path:
    """The compiled program; raises RuntimeError without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("cc is missing: dev/install-services installs it")
    program = directory / "exchange"
    command = [compiler, "-O2", "-o", str(program), str(SOURCE)]
    subprocess.run(command, check=True, timeout=120)
    return program


def measuring(program: Path, backend_port: int) -> Measure:
    """Puts contestants, whose backend is *backend_port*, under that load."""

    def measure(workload: Workload, contestant: Contestant, seconds: int) -> Sample:
        command = [str(program), str(backend_port), str(contestant.port)]
        command += [str(workload.clients), str(seconds)]
        before, user = cpu_seconds(contestant.pid), user_seconds(contestant.pid)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + PATIENCE
        )
        if done.returncode:
            raise RuntimeError(f"exchange failed: {done.stderr.strip()}")
        cpu = cpu_seconds(contestant.pid) - before
        user = user_seconds(contestant.pid) - user
        counted = json.loads(done.stdout)
        del counted["octets"]
        return Sample(**counted, cpu=cpu, user=user)

    return measure
