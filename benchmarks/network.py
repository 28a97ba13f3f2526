"""
A network namespace of the benchmark's own, so that two machines measure the same.

A host's default congestion control and loopback's MTU of 65,536 decide whole rows: the
one paces, the other makes most answers a single segment.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import HOST, program

__all__ = ["CONGESTION", "PACED", "available", "host", "isolated", "pinned", "summary"]

MTU = 1500
CONGESTION, PACED = "cubic", "bbr"

_NEWNET = 0x40000000  # CLONE_NEWNET of <linux/sched.h>
_AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_TRACKED = Path("/proc/sys/net/netfilter/nf_conntrack_count")
_HERE = "/proc/thread-self/ns/net"

_HOST_INODE = Path(_HERE).stat().st_ino

_libc = ctypes.CDLL(None, use_errno=True)


class _Host:
    """The host's namespace, while this thread is in another."""

    descriptor: int | None = None


@contextmanager
def isolated() -> Iterator[None]:
    """
    Put this thread, and the processes it starts, into a namespace with a loopback.

    Its MTU is 1,500, and all connections take cubic.

    Raises:
        OSError: this process may not make one; it takes root.
        RuntimeError: `ip` is missing or refuses.
    """
    outside = os.open(_HERE, os.O_RDONLY)
    try:
        _call(_libc.unshare, _NEWNET)
        _Host.descriptor = outside
        _ip("link", "set", "lo", "mtu", str(MTU), "up")
        _pin(CONGESTION)
        yield
    finally:
        _enter(outside)
        _Host.descriptor = None
        os.close(outside)


@contextmanager
def host() -> Iterator[None]:
    """Go back to the host's namespace for a while: engines have their bridges there."""
    if _Host.descriptor is None:
        yield
        return
    inside = os.open(_HERE, os.O_RDONLY)
    try:
        _enter(_Host.descriptor)
        yield
    finally:
        _enter(inside)
        os.close(inside)


def available(name: str) -> bool:
    """Return whether connections can be made to take *name* here."""
    return _isolated() and name in _AVAILABLE.read_text().split()


@contextmanager
def pinned(name: str) -> Iterator[None]:
    """Have new connections take the congestion control *name* for a while."""
    _pin(name)
    try:
        yield
    finally:
        _pin(CONGESTION)


def _isolated() -> bool:
    return Path(_HERE).stat().st_ino != _HOST_INODE


def _pin(name: str) -> None:
    # Both ends take what their route says. The namespace's default may be only what
    # every user may take, and cubic is often not among that.
    for addresses in ("127.0.0.0/8", HOST):
        route = ("local", addresses, "dev", "lo", "src", HOST)
        _ip("route", "replace", "table", "local", *route, "congctl", name)


def summary() -> str:
    """Describe what decides rows: congestion control, MTU, connection tracking."""
    place = "a network namespace of its own" if _isolated() else "the host's network"
    with (
        socket.create_server((HOST, 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        taken = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        tracked = _TRACKED.exists() and int(_TRACKED.read_text()) > 0
    mtu = re.findall(r"mtu (\d+)", _ip("link", "show", "lo"))[0]
    words = [place, taken.rstrip(b"\0").decode(), f"MTU {mtu}"]
    return ", ".join([*words, f"{'with' if tracked else 'without'} conntrack"])


def _ip(*words: str) -> str:
    done = subprocess.run([program("ip"), *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout


def _enter(descriptor: int) -> None:
    _call(_libc.setns, descriptor, _NEWNET)


def _call(function: Callable[..., int], *arguments: int) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
