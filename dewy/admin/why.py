"""Answering `dewy why`, in a dewy that runs or without one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from ..config import Settings
from ..deploy.candidates import first, in_detail
from ..deploy.history import History
from ..deploy.state import State
from ..deploy.why import Looked, explain
from ..errors import DewyError, NotYet
from ..registries import Registry, candidates_of
from ..release import Refusal
from ..system import Clock
from . import offline, preview
from .client import NotRunning, ask

__all__ = ["PATIENCE", "answer", "why"]

PATIENCE = 20.0
"""Seconds that the registry has."""


async def why(
    settings: Settings, version: str, clock: Clock | None = None
) -> dict[str, Any]:
    """
    Why *version* runs in the root or does not, from the dewy there or from disk.

    Raises:
        DewyError: neither can be read.
        ConfigError: the registry's URL cannot be used.
    """
    try:
        told = await ask(settings.private, "why", PATIENCE + 10, version=version)
        return {key: value for key, value in told.items() if key != "ok"}
    except NotRunning:
        state = await asyncio.to_thread(offline.state_of, settings)
    looked = Looked(problem="no --registry was given, so it was not asked")
    if settings.registry:
        async with preview.opened(settings) as registry:
            looked = await look(registry)
    now = (clock or Clock()).wall()
    return await answer(version, state, History(settings.private), looked, now)


async def look(registry: Registry, patience: float = PATIENCE) -> Looked:
    """What *registry* says now; that it does not is an answer, too."""
    try:
        async with asyncio.timeout(patience):
            offered = await candidates_of(registry)
            release, passed = await first(offered)
    except TimeoutError:
        return Looked(problem=f"no answer within {patience:g} s")
    except (NotYet, DewyError, OSError) as exc:
        return Looked.failed(exc)
    over = [Refusal(tag, in_detail(exc)) for tag, exc in passed]
    older = [] if offered.names is None else offered.older(release.tag)
    return Looked(release, (*over, *offered.refused, *older, *release.refused))


async def answer(
    version: str, state: State, history: History, looked: Looked, now: float
) -> dict[str, Any]:
    """`version`, `verdict`, `why` and `records`, as JSON has them."""
    records = await asyncio.to_thread(history.read)
    found = explain(version, state, records, looked, now)
    return {"version": version, **asdict(found)}
