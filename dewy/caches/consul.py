"""
A cache in Consul's key/value store.

Consul replicates every write through its log, and is not made for large values: files
beyond a limit are not cached. Since Consul's entries do not expire, the flags of an
entry hold the time of its write, in seconds since the epoch.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote

import aiohttp
from consul import aio, exceptions

from .. import urls
from ..config.values import positive_duration
from ..errors import ConfigError, RateLimited, RemoteError
from ..remotes import NONSENSE
from ..remotes.env_proxy import no_connection
from ..remotes.http import broke_off
from . import Versioned
from .chunks import ChunkedCache, local_copies
from .outages import ADVICE, CALL_TIMEOUT, CircuitBreaker, authorities, together

DEFAULTS = {
    "max-artifact": "32MiB",
    "ttl": "720h",
    "max-size": "2GiB",
    "registry-ttl": "",
    "tls": "",
    "ca": "",
    "dc": "",
}
CHUNK = 500 * 1024
CHUNK_TIMEOUT = 20.0
PORT = 8500
ABANDONED = 3600.0
"""Seconds after which chunks without a manifest count as abandoned."""

AT_ONCE = 8

FOREIGN = ("decode JSON", "Missing index header")
"""The client's messages about an answer that is not Consul's, which they quote."""

NOT_CONSUL = "did not answer like Consul: is the address right?"


class ConsulStore:
    """
    The values under *prefix*.

    Args:
        where: The agent's name in messages.

        ttl: Seconds after which values that no host retains are deleted.

        arguments: Arguments of the client.
    """

    chunk = CHUNK

    def __init__(
        self, where: str, prefix: str, ttl: float, arguments: dict[str, Any]
    ) -> None:
        self.ttl = ttl
        self._prefix = prefix
        self._arguments = arguments
        self._breaker = CircuitBreaker(where)
        self._client: Any = None

    async def read(self, name: str) -> Versioned:
        async with self._request() as kv:
            _, row = await kv.get(self._key(name), consistency="consistent")
            if row is None:
                return Versioned()
            return Versioned(row["Value"] or b"", str(row["ModifyIndex"]))

    async def write(self, name: str, value: bytes, version: str | None) -> bool:
        index = None if version is None else int(version or 0)
        async with self._request() as kv:
            done = await kv.put(self._key(name), value, cas=index, flags=_now())
        return bool(done)

    async def fetch(self, name: str) -> bytes | None:
        async with self._request(CHUNK_TIMEOUT) as kv:
            _, row = await kv.get(self._key(name))
            return None if row is None else row["Value"] or b""

    async def place(self, name: str, value: bytes) -> None:
        async with self._request(CHUNK_TIMEOUT) as kv:
            await kv.put(self._key(name), value, flags=_now())

    async def delete(self, names: Sequence[str]) -> None:
        for at in range(0, len(names), AT_ONCE):
            some = [self._key(name) for name in names[at : at + AT_ONCE]]
            async with self._request(CHUNK_TIMEOUT) as kv:
                await together(*(kv.delete(key) for key in some))

    async def names(self, prefix: str) -> list[str]:
        async with self._request() as kv:
            _, keys = await kv.get(self._key(prefix), keys=True)
            return [key.removeprefix(self._key("")) for key in keys or ()]

    async def tend(self, retained: Collection[str]) -> None:
        used: set[str] = set()
        for row in await self._rows("value/") + await self._rows("file/"):
            name = row["Key"].removeprefix(self._key(""))
            age = _now() - row["Flags"]
            if name in retained and age > self.ttl / 4:
                await self.write(name, row["Value"] or b"", str(row["ModifyIndex"]))
            elif name not in retained and age > self.ttl:
                await self._delete_unchanged(row)
                continue
            used.add(name.partition("/")[2])
        await self._sweep(used)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _sweep(self, used: Collection[str]) -> None:
        """Delete abandoned chunks, of files without a manifest."""
        for name in await self.names("chunk/"):
            if name.partition("/")[2].rpartition("/")[0] in used:
                continue
            async with self._request(CHUNK_TIMEOUT) as kv:
                _, row = await kv.get(self._key(name))
            if row is not None and _now() - row["Flags"] > min(ABANDONED, self.ttl):
                await self._delete_unchanged(row)

    async def _rows(self, prefix: str) -> list[dict[str, Any]]:
        async with self._request(CHUNK_TIMEOUT) as kv:
            _, rows = await kv.get(self._key(prefix), recurse=True)
        return rows or []

    async def _delete_unchanged(self, row: dict[str, Any]) -> None:
        async with self._request() as kv:
            await kv.delete(row["Key"], cas=row["ModifyIndex"])

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @asynccontextmanager
    async def _request(self, seconds: float = CALL_TIMEOUT) -> AsyncIterator[Any]:
        if self._client is None:
            # Not earlier: the client needs a running loop.
            self._client = _client(self._arguments)
        try:
            async with self._breaker.within(seconds):
                yield self._client.kv
        except (exceptions.ConsulException, aiohttp.ClientError, OSError) as exc:
            if isinstance(exc, aiohttp.ClientSSLError):
                # A client keeps the CA certificates that it has read.
                await self.close()
            # Not `from exc`, which may quote the token's name, or whole answers.
            busy = isinstance(exc, exceptions.ClientError) and str(exc)[:3] == "429"
            kind = RateLimited if busy else RemoteError
            raise kind(f"{self._breaker.where} {_explanation(exc)}") from None
        except NONSENSE as exc:
            raise RemoteError(f"{self._breaker.where} {NOT_CONSUL}") from exc


class ConsulCache(ChunkedCache):
    """A cache in `consul://HOST[:PORT]/PREFIX`."""

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        chosen = urls.options(url, DEFAULTS)
        if url.username or url.password:
            raise ConfigError("consul:// takes its token from CONSUL_HTTP_TOKEN")
        if not url.hostname:
            raise ConfigError("consul:// must name a host")
        self._where = f"consul://{url.hostname}:{url.port or PORT}"
        prefix = unquote(url.path).strip("/") or "dewy"
        ttl = positive_duration(chosen["ttl"], "option ttl")
        super().__init__(
            ConsulStore(self._where, prefix, ttl, _connection(url, chosen)),
            limit=urls.size("max-artifact", chosen["max-artifact"]),
            local=local_copies(default_directory, chosen["max-size"]),
        )

    def __repr__(self) -> str:
        return f"<ConsulCache {self._where}>"


def _connection(url: SplitResult, chosen: dict[str, str]) -> dict[str, Any]:
    stated = chosen["tls"] or os.environ.get("CONSUL_HTTP_SSL") or "false"
    tls = urls.boolean("tls", stated)
    ca = authorities(chosen["ca"] or os.environ.get("CONSUL_CACERT", ""))
    return {
        "host": url.hostname,
        "port": url.port or PORT,
        "scheme": "https" if tls else "http",
        "verify": (ca or True) if tls else False,
        "token": os.environ.get("CONSUL_HTTP_TOKEN") or None,
        "dc": chosen["dc"] or None,
        "connections_timeout": 2 * CHUNK_TIMEOUT,
    }


def _client(arguments: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        # The client passes two arguments that aiohttp deprecates.
        warnings.filterwarnings(
            "ignore", r"(verify_ssl|ssl_context) is deprecated", DeprecationWarning
        )
        return aio.Consul(**arguments)


def _now() -> int:
    return int(time.time())


def _explanation(exc: Exception) -> str:
    match exc:
        case exceptions.ACLPermissionDenied() | exceptions.ACLDisabled():
            return "refused access: CONSUL_HTTP_TOKEN needs key:write on the prefix"
        case aiohttp.ClientSSLError():
            return f"{ADVICE}; option ca= or CONSUL_CACERT names further authorities"
        case aiohttp.ClientConnectorError():
            return f"could not be reached: {no_connection(exc.os_error)}"
        case aiohttp.ClientError() | OSError():
            return broke_off(exc)
        case _ if any(sign in str(exc) for sign in FOREIGN):
            return NOT_CONSUL
        case _:
            reason = next(iter(str(exc).splitlines()), "it gave no reason")
            return f"refused: {reason[:200]}"
