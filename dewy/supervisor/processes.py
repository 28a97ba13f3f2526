"""
Relations of processes and connections, as Linux tells in /proc (proc(5)).

Everything here reads files whose length grows with the host's processes and
connections: asynchronous callers use a thread. On systems other than Linux there are no
processes to see.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple, ParamSpec, TypeVar

from ..system import start_time
from .environment import GENERATION

P = ParamSpec("P")
T = TypeVar("T")

ESTABLISHED = b"01"
CLOSE_WAIT = b"08"
LISTEN = b"0A"
LOOKING = 3.0
"""Seconds that a look at all processes may take."""

DEEPEST = 64
"""Limit of generations of processes, far more than programs have."""
UNKNOWN = "another process"

Endpoint = tuple[str, int]


class Ends(NamedTuple):
    """Connection as the server sees it: its own address, and the peer's."""

    local: Endpoint
    remote: Endpoint


class Process(NamedTuple):
    """Fields of /proc/PID/stat, as far as they are used here."""

    pid: int
    parent: int
    session: int


class Child(NamedTuple):
    """Child of a process; *ended* but not reaped, or living."""

    pid: int
    session: int
    started: int
    ended: bool


async def in_time(look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Return what *look* finds, in a thread, among all processes of the host.

    Raises:
        TimeoutError: a process cannot be read; its memory is locked, as by a mount that
            hangs. The thread goes on.
    """
    try:
        async with asyncio.timeout(LOOKING):
            return await asyncio.to_thread(look, *args, **kwargs)
    except TimeoutError:
        text = f"the processes were not read within {LOOKING:g} s"
        raise TimeoutError(text) from None


def children(parent: int) -> list[Child]:
    """Return the children of process *parent*, zombies included."""
    found = []
    for process in _processes():
        if process.parent == parent:
            with suppress(OSError), open(f"/proc/{process.pid}/stat", "rb") as file:
                stat = file.read()
                fields = stat[stat.rindex(b")") + 2 :].split()
                ended = fields[0] in (b"Z", b"X")
                started = int(fields[19])
                found.append(Child(process.pid, process.session, started, ended))
    return found


def bearers(marked: Callable[[str], bool]) -> dict[int, int]:
    """
    Return living processes with a *marked* DEWY_GENERATION, and their start times.

    Those of other users are left out where permissions do not show them.
    """
    found = {}
    for pid in map(int, _numbers("/proc")):
        mark = generation_mark(pid)
        if mark and marked(mark) and (begun := start_time(pid)) is not None:
            found[pid] = begun
    return found


def generation_mark(pid: int) -> str:
    """Return DEWY_GENERATION in the environment of process *pid*; "" if it has none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read()
    except OSError:
        return ""
    name = GENERATION.encode() + b"="
    found = (v for v in variables.split(b"\0") if v.startswith(name))
    return os.fsdecode(next(found, b"").removeprefix(name))


def members(leader: int) -> frozenset[int]:
    """
    Return the processes of the session *leader* leads, with all their descendants.

    Zombies count. The session alone still holds together what a leader that
    has ended left behind, and its number is not given away meanwhile.
    """
    return related(_processes(), leader)


def belongs(pid: int, leader: int) -> bool:
    """
    Return whether *pid* is in the session of *leader*, or descends from it.

    The call looks at a few processes only, so that frequent calls cost little.
    """
    for _ in range(DEEPEST):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                process = parse_stat(file.read())
        except OSError:
            return False
        if leader in (process.pid, process.session):
            return True
        pid = process.parent
        if pid <= 1:
            return False
    return False


def related(processes: Iterable[Process], leader: int) -> frozenset[int]:
    """Return those of *processes* that belong to *leader* by session or descent."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    found = []
    for process in processes:
        if leader in (process.pid, process.session):
            found.append(process.pid)
        else:
            children[process.parent].append(process.pid)
    for pid in found:
        found += children.pop(pid, [])
    return frozenset(found)


def users(pids: Iterable[int]) -> frozenset[int]:
    """Return the effective user ids of *pids*, as far as they live."""
    found = set()
    for pid in pids:
        try:
            found.add(os.stat(f"/proc/{pid}").st_uid)
        except OSError:
            continue
    return frozenset(found)


def held(pids: Iterable[int], inodes: Iterable[int]) -> frozenset[int]:
    """
    Return those sockets of *inodes* that one of *pids* has open.

    Raises:
        PermissionError: an inode was not found, and a process cannot be read.
    """
    missing = wanted = frozenset(inodes)
    denied: PermissionError | None = None
    for pid in pids:
        if not missing:
            break
        try:
            missing = missing.difference(_sockets(pid))
        except PermissionError as exc:
            if start_time(pid) is not None:  # zombies deny everybody but root
                denied = exc
    if missing and denied is not None:
        raise denied
    return wanted - missing


def accepted_inodes(connections: Iterable[Ends]) -> dict[Ends, int]:
    """
    Return the inodes of the servers' ends of those *connections* that are accepted.

    Raises:
        OSError: the system does not tell.
    """
    return find_inodes(_connections(), connections)


def unaccepted(host: str, port: int) -> frozenset[bytes]:
    """
    Return the connections to *host* and *port* that wait to be accepted.

    Raises:
        OSError: the system does not tell.
    """
    with open("/proc/net/tcp6" if ":" in host else "/proc/net/tcp", "rb") as file:
        return find_unaccepted(file.read(), host, port)


def holder(port: int) -> str:
    """Return the process that listens on TCP *port*, for people: `nginx (pid 123)`."""
    # An operator would mostly name the oldest of several.
    for pid in holders(port):
        with suppress(OSError):
            return f"{name_of(pid)} (pid {pid})"
    return UNKNOWN


def holders(port: int) -> list[int]:
    """Return the processes seen to have a socket open that listens on TCP *port*."""
    try:
        inodes = listening_inodes(_connections(), port)
    except OSError:
        return []
    found = []
    for pid in sorted(process.pid for process in _processes()):
        with suppress(OSError):
            if not inodes.isdisjoint(_sockets(pid)):
                found.append(pid)
    return found


def parse_stat(stat: bytes) -> Process:
    """Parse a line of /proc/PID/stat; the name in it may hold anything, even `) `."""
    pid, _, _ = stat.partition(b" ")
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(int(pid), parent=int(fields[1]), session=int(fields[3]))


def find_inodes(table: bytes, connections: Iterable[Ends]) -> dict[Ends, int]:
    """Return those of *connections* with an inode in the text of /proc/net/tcp{,6}."""
    found = {}
    for ends in connections:
        for names in zip(*(_spellings(*end) for end in ends), strict=False):
            at = table.find(b" %b %b " % names)
            inode = at >= 0 and int(table[at : table.index(b"\n", at)].split()[8])
            if inode:
                found[ends] = inode
    return found


def listening_inodes(table: bytes, port: int) -> frozenset[int]:
    """Return the inodes listening on *port* by the text of /proc/net/tcp{,6}."""
    suffix = b":%04X" % port
    rows = (line.split() for line in table.splitlines() if suffix in line)
    return frozenset(
        int(row[9]) for row in rows if row[1].endswith(suffix) and row[3] == LISTEN
    )


def find_unaccepted(table: bytes, host: str, port: int) -> frozenset[bytes]:
    """
    Return the connections to *host* and *port* that have no inode in *table*.

    Those that a program has closed have none either, but are in other states.
    """
    local = b"|".join(_spellings(host, port))
    if ip_address(host.partition("%")[0]).is_unspecified:
        local = b"[0-9A-F]+:%04X" % port
    row = rb" ((?:%b) \S+) (?:%b|%b)(?: +\S+){5} 0 "
    found = re.findall(row % (local, ESTABLISHED, CLOSE_WAIT), table)
    return frozenset(found)


def _spellings(host: str, port: int) -> list[bytes]:
    """
    Return an address as the kernel prints it, words in its own byte order.

    An IPv4 address is in the IPv6 table too, where a socket accepts both.
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if isinstance(address, IPv6Address):
        forms = [address.packed]
    else:
        forms = [address.packed, bytes(10) + b"\xff\xff" + address.packed]
    return [b"%b:%04X" % (_words(packed), port) for packed in forms]


def _words(packed: bytes) -> bytes:
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return b"".join(b"%08X" % int.from_bytes(word, sys.byteorder) for word in words)


def _connections() -> bytes:
    with open("/proc/net/tcp", "rb") as file:
        table = file.read()
    with suppress(FileNotFoundError), open("/proc/net/tcp6", "rb") as file:
        table += file.read()
    return table


def _processes() -> Iterator[Process]:
    for pid in _numbers("/proc"):
        with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
            yield parse_stat(file.read())


def _sockets(pid: int) -> Iterator[int]:
    """Yield the inodes of sockets *pid* has open; none of a process that is gone."""
    directory = f"/proc/{pid}/fd"
    for fd in _numbers(directory):
        with suppress(FileNotFoundError, ProcessLookupError):
            kind, _, rest = os.readlink(f"{directory}/{fd}").partition(":")
            if kind == "socket":
                yield int(rest[1:-1])


def _numbers(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.isdigit()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def name_of(pid: int) -> str:
    """
    Return the name of *pid*, at most 15 characters.

    Raises:
        OSError: the process is gone.
    """
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def describe_exit(code: int) -> str:
    """Return `exit status 3`, `killed by SIGSEGV`."""
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
