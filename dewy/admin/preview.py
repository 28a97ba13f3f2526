"""What a registry would have deployed in a root; nothing is deployed or written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..config import Settings
from ..errors import ConfigError, DewyError, NoRelease
from ..logs import summary
from ..registries import REGISTRIES, Registry
from ..release import Refusal, Release
from ..remotes import Clients
from ..system import Clock
from ..urls import redact
from ..versions import Selection
from . import cache, offline

__all__ = ["known", "opened", "preview"]

PATIENCE = 120.0


async def preview(settings: Settings, clock: Clock | None = None) -> dict[str, Any]:
    """
    The release the registry names, with what this root knows about it.

    Without one, `error` says why, and `refused` lists what was passed over. With
    a cache that cannot be read `cache_error` says why; deployments go on without.

    Raises:
        ConfigError: the URL of the registry or of the cache cannot be used.
    """
    status = await known(settings, clock)
    unusable = await cache.trouble(settings)
    found = await _found(settings, status)
    return {**found, "cache_error": unusable} if unusable else found


async def known(settings: Settings, clock: Clock | None = None) -> dict[str, Any]:
    """
    What this root knows without asking anybody.

    Raises:
        DewyError: its state cannot be read.
    """
    return await asyncio.to_thread(offline.look, settings, clock or Clock())


async def _found(settings: Settings, status: dict[str, Any]) -> dict[str, Any]:
    try:
        release = await _current(settings)
    except ConfigError:
        raise
    except (DewyError, OSError) as exc:
        refused = exc.refused if isinstance(exc, NoRelease) else ()
        return {**_answer(None, refused, status), "error": summary(exc)}
    return _answer(release, release.refused, status)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Registry]:
    """
    The registry, for one look.

    Raises:
        ConfigError: its URL cannot be used.
    """
    async with Clients() as clients:
        # In a thread, because the first use of a scheme imports from disk.
        yield await asyncio.to_thread(
            REGISTRIES.open, settings.registry, Selection(slot=settings.slot), clients
        )


async def _current(settings: Settings) -> Release:
    try:
        async with asyncio.timeout(PATIENCE), opened(settings) as registry:
            return await registry.current()
    except TimeoutError:
        raise DewyError(f"the registry did not answer in {PATIENCE:g} s") from None


def _answer(
    release: Release | None, refused: tuple[Refusal, ...], status: dict[str, Any]
) -> dict[str, Any]:
    return {
        "tag": release.tag if release else None,
        "artifact_url": redact(release.artifact_url) if release else None,
        "identity": release.identity if release else None,
        "refused": [{"name": each.name, "reason": each.reason} for each in refused],
        "quarantined": _quarantined(release, status["quarantine"]),
        "running": status["running"],
    }


def _quarantined(
    release: Release | None, entries: list[dict[str, Any]]
) -> dict[str, Any] | None:
    if release is None:
        return None
    key = release.tag, release.identity
    return next((e for e in entries if (e["tag"], e["identity"]) == key), None)
