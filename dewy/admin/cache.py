"""The check of a root's cache, which writes nothing."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from urllib.parse import urlsplit

from .. import urls
from ..caches import CACHES
from ..config import Settings
from ..deploy.registry_cache import ttl_of
from ..errors import RemoteError
from ..logs import summary

__all__ = ["trouble"]

PATIENCE = 20.0
PROBE = "registry-cache/check"
"""A key that is never there."""

LISTED = frozenset({"gs"})
"""Schemes of stores in which only a list tells that the whole bucket is not there."""


async def trouble(settings: Settings) -> str:
    """
    Describe in one line why the cache cannot be read; return "" if it can.

    Raises:
        ConfigError: the cache's URL cannot be used.
    """
    url = settings.cache or settings.cache_dir.as_uri()
    ttl_of(url)
    # In a thread, because the first use of a scheme imports from disk.
    cache = await asyncio.to_thread(CACHES.open, url, settings.cache_dir)
    async with AsyncExitStack() as stack:
        if isinstance(cache, AbstractAsyncContextManager):
            # Not entered: its upkeep deletes what nobody needs.
            stack.push_async_exit(cache)
        try:
            async with asyncio.timeout(PATIENCE):
                await cache.get(PROBE)
                if urlsplit(url).scheme in LISTED:
                    await cache.keys(PROBE)
        except TimeoutError:
            return f"{urls.redact(url)} did not answer in {PATIENCE:g} s"
        except (OSError, RemoteError) as exc:
            return summary(exc)
    return ""
