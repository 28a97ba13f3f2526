"""Preview of a deployment from a registry; nothing is deployed or written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from .. import urls
from ..caches import CACHES
from ..config import Settings
from ..containers.selection import selection_of
from ..deploy.candidates import Absence, Found, ask
from ..deploy.registry_cache import ttl_of
from ..deploy.signatures.keys import load_all, of
from ..deploy.signatures.verification import require_listed
from ..errors import (
    ConfigError,
    DewyError,
    Mistakes,
    NoRelease,
    RemoteError,
    SignatureError,
)
from ..logs import summary
from ..registries import REGISTRIES, Registry
from ..release import Refusal, Release
from ..remotes import Clients
from ..system import Clock
from . import offline

__all__ = ["cache_trouble", "known", "opened", "preview"]

PATIENCE = 120.0


async def preview(settings: Settings, clock: Clock | None = None) -> dict[str, Any]:
    """
    Return the release the registry names, with what this root knows about it.

    Without one, `error` says why. `passed_over` lists the newer versions that this
    host cannot have, or may not; `older` counts those behind; `refused` lists the
    names that are no candidates; `surprises` warns of their order. With a cache
    that cannot be read `cache_error` says why; deployments go on without.

    Raises:
        ConfigError: the URL of the registry or of the cache cannot be used.
    """
    status = await known(settings, clock)
    unusable = await cache_trouble(settings)
    found = await _found(settings, status, clock or Clock())
    return {**found, "cache_error": unusable} if unusable else found


async def known(settings: Settings, clock: Clock | None = None) -> dict[str, Any]:
    """
    Return the status of this root as known without asking anybody.

    Raises:
        DewyError: the root's state cannot be read.
    """
    return await asyncio.to_thread(offline.look, settings, clock or Clock())


async def _found(
    settings: Settings, status: dict[str, Any], clock: Clock
) -> dict[str, Any]:
    try:
        found = await _asked(settings, clock)
    except ConfigError:
        raise
    except (DewyError, OSError) as exc:
        refused = exc.refused if isinstance(exc, NoRelease) else ()
        return {**_answer(None, refused, status), "error": summary(exc)}
    release = found.release
    listed = _list(found)
    if release and (unsigned := await _unsigned(settings, release)):
        listed["surprises"] = [*listed.get("surprises", ()), unsigned]
    return {
        **_answer(release, release.refused if release else (), status),
        **listed,
        **({} if release else {"error": found.decision.reason}),
    }


async def _unsigned(settings: Settings, release: Release) -> str:
    """Return a warning where a signature is wanted and is not there; else ""."""
    # Keys that cannot be read are told by those who need them.
    keys = await asyncio.to_thread(load_all, settings, Mistakes())
    try:
        if keys and settings.images:
            from ..containers.image_store import ImageVerifier
            from ..registries.img import repository_of

            async with asyncio.timeout(PATIENCE), Clients() as clients:
                repository = repository_of(urls.split(settings.registry))
                await ImageVerifier(of(settings), repository, clients).verify(release)
        elif keys:
            require_listed(release, keys)
    except (SignatureError, RemoteError) as exc:
        return summary(exc)
    except TimeoutError:
        return f"the signature was not there in {PATIENCE:g} s"
    return ""


def _list(found: Found) -> dict[str, Any]:
    """
    Return the other versions in the registry; empty for a registry without a list.
    """
    offered = found.candidates
    if offered is None or offered.names is None:
        return {"passed_over": found.to_json()}
    passed = {each.name for each in found.passed_over}
    # The first is what is deployed, or waited for.
    others = [v for v in offered.versions if v.tag not in passed][1:]
    files = found.release.refused if found.release else ()
    return {
        "passed_over": found.to_json(),
        "older": len(others),
        "refused": _refusals((*offered.refused, *files)),
        "surprises": list(offered.surprises),
    }


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Registry]:
    """
    Open the registry, for one look.

    Raises:
        ConfigError: the registry's URL cannot be used.
    """
    async with Clients() as clients:
        # In a thread, because the first use of a scheme imports from disk.
        yield await asyncio.to_thread(
            REGISTRIES.open,
            settings.registry,
            selection_of(settings, os.environ),
            clients,
        )


async def _asked(settings: Settings, clock: Clock) -> Found:
    state = await asyncio.to_thread(offline.state_of, settings)
    now, grace = clock.wall(), settings.grace_period
    try:
        async with asyncio.timeout(PATIENCE), opened(settings) as registry:
            return await ask(registry, state, Absence(), now, grace)
    except TimeoutError:
        raise DewyError(f"the registry did not answer in {PATIENCE:g} s") from None


def _refusals(refused: Iterable[Refusal]) -> list[dict[str, str]]:
    return [{"name": each.name, "reason": each.reason} for each in refused]


def _answer(
    release: Release | None, refused: tuple[Refusal, ...], status: dict[str, Any]
) -> dict[str, Any]:
    return {
        "tag": release.tag if release else None,
        "artifact_url": urls.redact(release.artifact_url) if release else None,
        "identity": release.identity if release else None,
        "refused": _refusals(refused),
        "quarantined": _quarantined(release, status["quarantine"]),
        "running": status["running"],
    }


def _quarantined(
    release: Release | None, entries: list[dict[str, Any]]
) -> dict[str, Any] | None:
    if release is None:
        return None
    about = (
        e
        for e in entries
        if e["tag"] == release.tag and e["identity"] in ("", release.identity)
    )
    return next(about, None)


CACHE_PATIENCE = 20.0
PROBE = "registry-cache/check"
"""A key that is never there."""

LISTED = frozenset({"gs"})
"""Schemes of stores in which only a list tells that the whole bucket is not there."""


async def cache_trouble(settings: Settings) -> str:
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
            async with asyncio.timeout(CACHE_PATIENCE):
                await cache.get(PROBE)
                if urlsplit(url).scheme in LISTED:
                    await cache.keys(PROBE)
        except TimeoutError:
            return f"{urls.redact(url)} did not answer in {CACHE_PATIENCE:g} s"
        except (OSError, RemoteError) as exc:
            return summary(exc)
    return ""
