"""The container engine, asked as `dewy container` asks it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import cast

from ..config import Settings
from ..containers.application import application_of
from ..containers.engine_limits import require_within
from ..containers.engines.opening import Runtime, open_engine
from ..containers.lock import engine_lock
from ..containers.model import Engine
from ..containers.options.arguments import parse
from ..containers.options.run_options import SHARED
from ..containers.upstream import require_reach
from ..errors import ConfigError, DewyError
from ..logs import summary
from .finding import Finding, Level

__all__ = ["engine_findings", "option_findings"]

PATIENCE = 30.0


async def option_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield findings about the engine options, which stand after `--`."""
    try:
        found = await asyncio.to_thread(
            parse, settings.run_options, os.environ, settings.root
        )
    except ConfigError as exc:
        yield Finding(Level.MISTAKE, "options", summary(exc))
        return
    for caution in found.cautions:
        yield Finding(Level.ATTENTION, "options", caution)


async def engine_findings(
    settings: Settings, running: int = 0
) -> AsyncIterator[Finding]:
    """
    Check whether the engine answers, and which of the application's containers it has.

    *running* is the pid of the dewy that runs in the root, or 0: without it another
    one may keep the containers.
    """
    runtime = cast("Runtime", settings.runtime)
    try:
        async with (
            asyncio.timeout(PATIENCE),
            open_engine(runtime, os.environ) as engine,
        ):
            require_reach(engine, settings.upstream)
            yield Finding(Level.OK, "engine", f"{engine.flavour} at {engine.address}")
            application = application_of(settings)
            if not running:
                async with engine_lock(engine.identity, application, settings.root):
                    pass
            found = await engine.containers(application.selector)
            ours = [each for each in found if application.owns(each)]
            up = sum(each.running for each in ours)
            text = f"{len(ours)} of {application.name}, {up} running"
            yield Finding(Level.OK, "containers", text)
            async for finding in _fit_findings(settings, engine):
                yield finding
    except ConfigError as exc:
        yield Finding(Level.MISTAKE, "engine", summary(exc))
    except TimeoutError:
        text = f"{runtime} did not answer within {PATIENCE:g} s"
        yield Finding(Level.FAILURE, "engine", text, "restart the engine")
    except (DewyError, OSError) as exc:
        yield Finding(Level.FAILURE, "engine", summary(exc))


async def _fit_findings(settings: Settings, engine: Engine) -> AsyncIterator[Finding]:
    """Check the options, and the chosen network, which nothing makes, by the engine."""
    try:
        options = await asyncio.to_thread(
            parse, settings.run_options, os.environ, settings.root
        )
    except ConfigError:
        return  # told by `option_findings`
    require_within(engine.limits, options)
    name = options.network
    if name and name not in SHARED and await engine.network(name) is None:
        text = f"{engine.flavour} has no network {name}, which --network names"
        advice = f"{settings.runtime} network create {name}"
        yield Finding(Level.FAILURE, "network", text, advice)
