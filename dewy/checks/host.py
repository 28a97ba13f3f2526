"""The host: its clock, and the descriptors dewy may have."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

from .finding import Finding, Level

__all__ = ["clock_finding", "descriptor_finding", "host_findings"]

TIME_ERROR = 5
LEAST_DESCRIPTORS = 1024
SCARCE = 0.8
# Larger than struct timex anywhere; all zero, so nothing is set.
TIMEX = 512


def host_findings(running: int) -> list[Finding]:
    """
    Check the clock, and the descriptors of *running*, a dewy's pid, or of a next one.
    """
    if sys.platform != "linux":
        return []
    return [clock_finding(_clock_state()), _descriptors(running)]


def clock_finding(state: int) -> Finding:
    """Judge the clock by *state*, as adjtimex(2) returns it."""
    if state == TIME_ERROR:
        text = "the clock is not synchronised, as far as the kernel knows"
        advice = "run chrony or systemd-timesyncd: TLS and quarantine go by it"
        return Finding(Level.ATTENTION, "clock", text, advice)
    return Finding(Level.OK, "clock", "synchronised")


def _clock_state() -> int:
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX)))


def _descriptors(running: int) -> Finding:
    if not running:
        return descriptor_finding(0, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    try:
        place = Path(f"/proc/{running}")
        used = sum(1 for _ in (place / "fd").iterdir())
        limits = (place / "limits").read_text(encoding="ascii").splitlines()
        row = next(line for line in limits if line.startswith("Max open files"))
        soft = row.split()[3]
        limit = -1 if soft == "unlimited" else int(soft)
    except (OSError, ValueError, IndexError, StopIteration):
        text = f"those of pid {running} cannot be seen"
        return Finding(Level.ATTENTION, "descriptors", text, "ask as root")
    return descriptor_finding(used, limit)


def descriptor_finding(used: int, limit: int) -> Finding:
    """Judge *used* of *limit* descriptors; a *limit* below 0 is none."""
    text = f"{used} of {limit if limit >= 0 else 'unlimited'} used"
    if 0 <= limit < LEAST_DESCRIPTORS or 0 <= limit * SCARCE < used:
        advice = "raise LimitNOFILE= of the unit (ulimit -n)"
        return Finding(Level.ATTENTION, "descriptors", text, advice)
    return Finding(Level.OK, "descriptors", text)
