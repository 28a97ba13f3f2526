"""A network of one's own: a loopback device, and nothing else."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def in_namespace(function: Callable[[], T], *, port: int | None = None) -> T:
    """
    What *function* returns in a thread that has a network namespace of its own.

    Threads that it starts share that. OSError where the machine does not allow it.

    Args:
        port: The only one there is for sockets that name none.
    """

    def live() -> T:
        _leave_the_hosts_network()
        if port is not None:
            EPHEMERAL.write_text(f"{port} {port}")
        return function()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(live).result()


def _leave_the_hosts_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise OSError("this system has no network namespaces")
    if libc.unshare(CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
