"""
Logins of `.netrc`, for requests that have no others.

The file is looked at in a helper process, for a home directory may hang.
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

from ..ioprocess import brief
from ..logs import Trouble, summary, warn_once

if TYPE_CHECKING:  # the helper process needs none of it
    import aiohttp
    from aiohttp import ClientHandlerType

__all__ = ["authorization", "log_in"]

log = logging.getLogger(__name__)

KEPT = 300.0
"""Seconds for which a login, or that there is none, is remembered."""

MISSED = 60.0
"""The same for a file that could not be read."""

REFUSED = frozenset({401, 403})

Login = tuple[str, str]


async def log_in(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Put the login for the host of *request* on it, unless it shows something."""
    host = request.url.host or ""
    if "Authorization" in request.headers or not host:
        return await send(request)
    shown = await authorization(host)
    if shown:
        request.headers["Authorization"] = shown
    answer = await send(request)
    if answer.status not in REFUSED:
        return answer
    # Somebody may have renewed it meanwhile.
    _logins().forget(host)
    renewed = await authorization(host)
    if renewed in ("", shown):
        return answer
    answer.close()
    request.headers["Authorization"] = renewed
    return await send(request)


async def authorization(host: str) -> str:
    """Return the header with the login for *host*, or ""."""
    login = await _logins().get(host)
    return basic(*login) if login else ""


def basic(name: str, password: str) -> str:
    """Return the header of a login (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def look_up(path: Path, host: str) -> Login | None:
    """
    Return the login that the file *path* has for *host*.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold logins.
    """
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (netrc.NetrcParseError, UnicodeError):
        # Not `from exc`: it may quote what is in the file.
        raise ValueError("it does not hold logins") from None
    if found is None:
        return None
    login, account, password = found
    return login or account or "", password or ""


class _Logins:
    """The logins that were looked up on one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], Login | None] = {}
        self._until: dict[tuple[Path, str], float] = {}
        self._turn = asyncio.Lock()

    async def get(self, host: str) -> Login | None:
        key = _path(), host
        async with self._turn:
            if self._until.get(key, 0.0) <= time.monotonic():
                self._known[key], seconds = await _read(*key)
                self._until[key] = time.monotonic() + seconds
            return self._known[key]

    def forget(self, host: str) -> None:
        for key in [key for key in self._until if key[1] == host]:
            del self._until[key]


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Logins] = WeakKeyDictionary()


def _logins() -> _Logins:
    return _by_loop.setdefault(asyncio.get_running_loop(), _Logins())


async def _read(path: Path, host: str) -> tuple[Login | None, float]:
    """
    Return the login in the file, and for how many seconds to remember it.

    A file that cannot be read is told: most requests need no login.
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
    # Neither of the two touches the file system.
    return Path(os.environ.get("NETRC") or "~/.netrc").expanduser().absolute()
