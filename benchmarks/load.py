"""Load, by wrk: it measures what clients see while `/proc` tells what it cost."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from .contestants import Contestant
from .processes import HOST, cpu_seconds, machine_seconds, program
from .workloads import BULK_BODY, MIB, Sample, Workload

REPORT = Path(__file__).with_name("report.lua")
SECONDS_WITHOUT_REPLY = 30


def _wrk(port: int, path: str, clients: int, seconds: int, *headers: str) -> list[str]:
    command = [program("wrk"), "--threads", "1", "--connections", str(clients)]
    command += ["--duration", f"{seconds}s", "--timeout", f"{SECONDS_WITHOUT_REPLY}s"]
    command += [part for header in headers for part in ("--header", header)]
    return [*command, "--script", str(REPORT), f"http://{HOST}:{port}{path}"]


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finish(process: subprocess.Popen[str], seconds: int) -> dict[str, Any]:
    output, _ = process.communicate(timeout=seconds + 2 * SECONDS_WITHOUT_REPLY)
    if process.returncode:
        raise RuntimeError(f"wrk failed:\n{output}")
    counted: dict[str, Any] = json.loads(output.splitlines()[-1])
    return counted


def measure(workload: Workload, contestant: Contestant, seconds: int) -> Sample:
    """Put *contestant* under *workload* for that long."""
    close = [] if workload.keep_alive else ["Connection: close"]
    port = contestant.port
    before, machine = cpu_seconds(contestant.pid), machine_seconds()
    beside = None
    if workload.bulk_streams:
        bulk = _wrk(port, f"/{BULK_BODY}", workload.bulk_streams, seconds)
        beside = _start(bulk)
    clients = _start(_wrk(port, workload.path, workload.clients, seconds, *close))
    counted = _finish(clients, seconds)
    streamed = _finish(beside, seconds) if beside else None
    cpu, machine = cpu_seconds(contestant.pid) - before, machine_seconds() - machine
    return replace(_sample(workload, counted, streamed, cpu), machine=machine)


def _sample(
    workload: Workload,
    counted: dict[str, Any],
    streamed: dict[str, Any] | None,
    cpu: float,
) -> Sample:
    # A large body that was half way when time was up has been paid for: count it.
    large = workload.body >= MIB
    requests = counted["octets"] / workload.body if large else counted["requests"]
    return Sample(
        requests=requests,
        seconds=counted["seconds"],
        p50=counted["p50"] if counted["requests"] else math.inf,
        p99=counted["p99"] if counted["requests"] else math.inf,
        cpu=cpu,
        errors=counted["errors"],
        bulk=streamed["octets"] / streamed["seconds"] if streamed else 0.0,
    )
