"""Answer to `dewy why`, with or without a running dewy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from ..config import Settings
from ..deploy.candidates import first, in_detail
from ..deploy.history import History
from ..deploy.plan import in_grace
from ..deploy.state import State
from ..deploy.why import Looked, explain
from ..errors import DewyError, NoRelease, NotYet
from ..registries import Candidates, Registry, candidates_of
from ..release import Refusal
from ..system import Clock
from . import offline, preview
from .client import NotAnswering, NotRunning, ask

__all__ = ["PATIENCE", "answer", "why"]

PATIENCE = 20.0
"""Seconds that the registry has."""


async def why(
    settings: Settings, version: str, clock: Clock | None = None
) -> dict[str, Any]:
    """
    Explain why *version* runs in the root or does not, from the dewy there or from
    disk; of one that is there and does not answer, that is told first.

    Raises:
        DewyError: the reasons can be read from neither.
        ConfigError: the registry's URL cannot be used.
    """
    try:
        told = await ask(settings.private, "why", PATIENCE + 10, version=version)
        return {key: value for key, value in told.items() if key != "ok"}
    except NotRunning as exc:
        silent = isinstance(exc, NotAnswering)
        cautions = [f"{exc}; what follows is from disk"] if silent else []
        state = await asyncio.to_thread(offline.state_of, settings)
    now = (clock or Clock()).wall()
    looked = await _looked(settings, now, version)
    history = History(settings.private)
    told = await answer(version, state, history, looked, now, alive=False)
    return told | {"why": [*cautions, *told["why"]]}


async def _looked(settings: Settings, now: float, version: str) -> Looked:
    if settings.registry:
        async with preview.opened(settings) as registry:
            return await look(registry, now, settings.grace_period, version)
    why = "no --registry was given"
    if settings.registry_unread:
        why = "the configuration cannot be read"
    return Looked(problem=f"{why}, so it was not asked")


async def look(
    registry: Registry,
    now: float,
    grace: float,
    version: str = "",
    patience: float = PATIENCE,
) -> Looked:
    """
    Return what *registry* says of *version*; that it does not is an answer, too.

    *now* is seconds since the epoch; a version without an artifact for this host
    is waited for until *grace* seconds after it was published.
    """
    newest = ""
    try:
        async with asyncio.timeout(patience):
            offered = await candidates_of(registry)
            newest = offered.versions[0].tag if offered.versions else ""
            release, passed = await first(offered)
            own = await _own(offered, version) if version != release.tag else []
    except TimeoutError:
        return Looked(problem=f"no answer within {patience:g} s")
    except (NotYet, DewyError, OSError) as exc:
        return replace(Looked.failed(exc), coming=_coming([(newest, exc)], now, grace))
    over = [Refusal(tag, in_detail(exc)) for tag, exc in passed]
    older = [] if offered.names is None else offered.older(release.tag)
    refused = (*over, *own, *offered.refused, *older, *release.refused)
    return Looked(release, refused, coming=_coming(passed, now, grace))


async def _own(offered: Candidates, version: str) -> list[Refusal]:
    """Return the reason why this host cannot have *version*, if it is offered."""
    for each in offered.versions:
        if each.tag == version:
            try:
                await offered.details(each)
            except NoRelease as exc:
                return [Refusal(version, in_detail(exc))]
            except NotYet as exc:
                return [Refusal(version, str(exc))]
    return []


def _coming(
    missing: Iterable[tuple[str, Exception]], now: float, grace: float
) -> dict[str, float]:
    """Return the time until which each of the *missing* versions is waited for."""
    return {
        tag: exc.since.timestamp() + grace
        for tag, exc in missing
        if isinstance(exc, NoRelease) and exc.since and not exc.unfinished
        if in_grace(exc, now, grace)
    }


async def answer(
    version: str,
    state: State,
    history: History,
    looked: Looked,
    now: float,
    *,
    alive: bool = True,
) -> dict[str, Any]:
    """Return `version`, `verdict`, `why` and `records`, as JSON has them."""
    records = await asyncio.to_thread(history.read)
    found = explain(version, state, records, looked, now, alive=alive)
    return {"version": version, **asdict(found)}
