"""The dewys of this host, asked through their HTTP APIs."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Settings
from ..errors import DewyError
from .client import ask
from .control import PROXY_SOCKET, SOCKET
from .http import HOST, PORTS_TRIED, status_answer

if TYPE_CHECKING:
    from aiohttp import ClientSession

__all__ = ["Instance", "containers", "everywhere", "nearby", "tried"]

PATIENCE = 2.0
LONGEST_ANSWER = 16 * 1024 * 1024

SOCKETS = Path("/proc/net/unix")
# The control socket's name before it is renamed: the kernel knows no other.
_NAMES = "|".join(map(re.escape, (SOCKET, PROXY_SOCKET)))
_SOCKET = re.compile(rf"(/.*)/\.({_NAMES})\.([0-9]+)$", re.MULTILINE)
_THROUGH_DESCRIPTOR = "/proc/self/fd/"

_MODES = ("server", "assets", "container", "proxy")


@dataclass(frozen=True, slots=True)
class Instance:
    """
    A dewy that answered.

    Attributes:
        port: The port of the HTTP API; 0 without one.

        status: The instance's own status.
    """

    port: int
    status: Mapping[str, Any]

    @property
    def mode(self) -> str:
        """The command it is: `server`, `assets`, `container` or `proxy`."""
        command = self.status.get("command")
        if isinstance(command, int) and 0 <= command < len(_MODES):
            return _MODES[command]
        return str(command)


def tried(first: int) -> range:
    """Return the ports that a dewy told *first* may listen on; 0 is the default."""
    first = first or Settings.admin_port
    return range(first, min(first + PORTS_TRIED, 65536))


async def nearby(first: int) -> list[Instance]:
    """Return the dewys on the ports from *first* on, by port; all are asked at once."""
    async with _session() as session:
        asked = [_status(session, port) for port in tried(first)]
        return [found for found in await asyncio.gather(*asked) if found]


async def everywhere(first: int) -> list[Instance]:
    """
    Return every dewy of this host that answers: on a port from *first*, or in its root.

    Roots of other users answer to root alone.
    """
    found = await nearby(first)
    known = {_identity(each) for each in found}
    sockets = await asyncio.to_thread(_sockets)
    asked = [_in_root(root, name) for root, name in sorted(sockets)]
    more = [each for each in await asyncio.gather(*asked) if each]
    return [*found, *(each for each in more if _identity(each) not in known)]


def _identity(found: Instance) -> tuple[object, object]:
    return found.status.get("root"), found.status.get("pid")


async def _in_root(root: Path, name: str) -> Instance | None:
    try:
        told = await ask(root / ".dewy", "status", PATIENCE, through=name)
        return Instance(told.get("admin_port") or 0, status_answer(told))
    except (DewyError, OSError, KeyError):
        return None


def _sockets() -> set[tuple[Path, str]]:
    """
    Return the roots with control sockets and their names, as /proc/net/unix tells.
    """
    try:
        table = SOCKETS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return set()
    found = set()
    for place, name, pid in _SOCKET.findall(table):
        try:
            private = place.startswith(_THROUGH_DESCRIPTOR)
            cwd = os.readlink(f"/proc/{pid}/cwd") if private else ""
        except OSError:
            continue
        found.add((Path(cwd) if private else Path(place).parent, name))
    return found


async def containers(port: int) -> dict[str, Any]:
    """
    Return the answer of the dewy on *port* to `GET /api/containers`.

    Raises:
        DewyError: dewy does not answer, or with something else.
    """
    async with _session() as session:
        found = await _get(session, port, "/api/containers")
    if not isinstance(found, dict) or not isinstance(
        found.get("containers") or [], list
    ):
        raise DewyError(f"the dewy on port {port} does not report its containers")
    return found


def _session() -> ClientSession:
    from aiohttp import ClientSession, ClientTimeout

    return ClientSession(timeout=ClientTimeout(PATIENCE))


async def _status(session: ClientSession, port: int) -> Instance | None:
    found = await _get(session, port, "/api/status")
    if isinstance(found, dict) and {"command", "is_running"} <= found.keys():
        return Instance(port, found)
    return None


async def _get(session: ClientSession, port: int, path: str) -> Any:
    """Return the JSON document at *path*; None if there is none."""
    from aiohttp import ClientError

    from ..remotes import http

    url = f"http://{HOST}:{port}{path}"
    try:
        async with session.get(url, allow_redirects=False) as response:
            body = await http.read(response, LONGEST_ANSWER)
            return json.loads(body) if response.status == 200 else None
    except (ClientError, DewyError, TimeoutError, OSError, ValueError):
        return None
