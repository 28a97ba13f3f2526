"""
The environment of a generation.

Sockets are announced in both dialects that programs understand: Server::Starter's
(SERVER_STARTER_PORT, SERVER_STARTER_GENERATION) and systemd's (LISTEN_FDS,
LISTEN_FDNAMES; LISTEN_PID is written by the child itself).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

FIRST_DESCRIPTOR = 3
GENERATION = "DEWY_GENERATION"

_OURS = frozenset(
    {
        GENERATION,
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "NOTIFY_SOCKET",
        "SERVER_STARTER_GENERATION",
        "SERVER_STARTER_PORT",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)


def environment(
    base: Mapping[str, str],
    *,
    generation: int,
    names: Sequence[str],
    notify: str,
    mark: str = "",
) -> dict[str, str]:
    """
    Return *base* with the supervisor's variables.

    Args:
        names: Names of the sockets at descriptors 3, 4, … in this order.

        notify: Address to which this generation sends READY=1.

        mark: Mark by which everything this generation starts is recognised.
    """
    result = {name: value for name, value in base.items() if name not in _OURS}
    pairs = (f"{name}={fd}" for fd, name in enumerate(names, FIRST_DESCRIPTOR))
    result["SERVER_STARTER_PORT"] = ";".join(pairs)
    result["SERVER_STARTER_GENERATION"] = str(generation)
    result["NOTIFY_SOCKET"] = notify
    if mark:
        result[GENERATION] = mark
    if names:
        result["LISTEN_FDS"] = str(len(names))
        result["LISTEN_FDNAMES"] = ":".join(map(_descriptor_name, names))
    return result


def read_envdir(directory: Path) -> dict[str, str]:
    """
    Return variables from a directory of files, as Server::Starter's ENVDIR.

    A file's name is the variable's, its first line the value. Hidden files and
    names with `=` are left out.

    Raises:
        OSError: the directory or a file cannot be read.
    """
    variables = {}
    for file in sorted(directory.iterdir()):
        if file.is_file() and not file.name.startswith(".") and "=" not in file.name:
            first, _, _ = file.read_text(errors="surrogateescape").partition("\n")
            variables[file.name] = first
    return variables


def _descriptor_name(name: str) -> str:
    # systemd separates names by colons, and calls what has no name "unknown".
    port = name.rpartition(":")[2] or "unknown"
    return port if ":" in name else name
