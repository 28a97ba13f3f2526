"""
Logins from `.netrc` for requests without others.

A helper process reads the file, for a home directory may hang.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import netrc
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..files import expanded
from ..ioprocess import brief
from ..logs import Trouble, summary, warn_once

if TYPE_CHECKING:  # the helper process does without
    import aiohttp
    from aiohttp import ClientHandlerType

__all__ = ["authorization", "log_in"]

log = logging.getLogger(__name__)

KEPT = 300.0
"""Seconds for which a login, or its absence, is cached."""

MISSED = 60.0
"""Seconds before a file that could not be read is tried again."""

REFUSED = frozenset({401, 403})

Login = tuple[str, str]


async def log_in(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Add the login for the host to *request*, unless it has an `Authorization`."""
    host = request.url.host or ""
    if "Authorization" in request.headers or not host:
        return await send(request)
    header = await authorization(host)
    if header:
        request.headers["Authorization"] = header
    answer = await send(request)
    if answer.status not in REFUSED:
        return answer
    # The file may have changed meanwhile.
    _logins().forget(host)
    renewed = await authorization(host)
    if renewed in ("", header):
        return answer
    answer.close()
    request.headers["Authorization"] = renewed
    return await send(request)


async def authorization(host: str) -> str:
    """Return the value of `Authorization` for *host*, or ""."""
    login = await _logins().get(host)
    return basic(*login) if login else ""


def basic(name: str, password: str) -> str:
    """Return the value of `Authorization` for a login (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def look_up(path: Path, host: str) -> Login | None:
    """
    Return the login for *host* in the file *path*, or None.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is malformed.
    """
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (netrc.NetrcParseError, UnicodeError):
        # Not `from exc`: its text may quote the file.
        raise ValueError("it does not hold logins") from None
    if found is None:
        return None
    login, account, password = found
    return login or account or "", password or ""


class _Logins:
    """Cache of the logins looked up on one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], Login | None] = {}
        self._expires: dict[tuple[Path, str], float] = {}
        self._lock = asyncio.Lock()

    async def get(self, host: str) -> Login | None:
        key = _path(), host
        async with self._lock:
            if self._expires.get(key, 0.0) <= time.monotonic():
                self._known[key], seconds = await _read(*key)
                self._expires[key] = time.monotonic() + seconds
            return self._known[key]

    def forget(self, host: str) -> None:
        for key in [key for key in self._expires if key[1] == host]:
            del self._expires[key]


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Logins] = WeakKeyDictionary()


def _logins() -> _Logins:
    return _by_loop.setdefault(asyncio.get_running_loop(), _Logins())


async def _read(path: Path, host: str) -> tuple[Login | None, float]:
    """
    Return the login for *host*, and for how many seconds to cache it.

    A file that cannot be read is only logged, for most requests need no login.
    """
    login, reason = None, ""
    try:
        login = await brief.look(path.parent, look_up, path, host)
    except (FileNotFoundError, NotADirectoryError):
        if "NETRC" in os.environ:
            reason = "there is no such file"
    except OSError as exc:
        reason = summary(exc)
    except ValueError as exc:
        reason = str(exc)
    troubles = [Trouble("Logins not read", reason, str(path))] if reason else []
    warn_once(log, path, troubles)
    return login, MISSED if reason else KEPT


def _path() -> Path:
    return expanded(os.environ.get("NETRC") or "~/.netrc")
