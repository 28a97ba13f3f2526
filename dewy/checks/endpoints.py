"""Checks of the URLs, opened as the command opens them, and of telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..config import Settings
from ..config.env_file import read_env_file
from ..daemon.runtime import open_endpoints
from ..errors import ConfigError, Mistakes
from ..logs import summary
from ..remotes import Clients
from ..supervisor.policy import Policy
from ..telemetry.loading import load
from .finding import Finding, Level

__all__ = ["constructor_findings"]


async def constructor_findings(
    settings: Settings, environ: dict[str, str]
) -> AsyncIterator[Finding]:
    """Yield a finding for each part that cannot be made as asked for."""
    mistakes = Mistakes()
    async with Clients() as clients:
        await asyncio.to_thread(open_endpoints, settings, clients, mistakes)
    with mistakes.caught():
        await asyncio.to_thread(load, settings)
    if settings.command == "server":
        with mistakes.caught():
            Policy.of(settings, environ)
        for path in settings.env_files:
            with mistakes.caught():
                place = settings.root / path
                await asyncio.to_thread(read_env_file, place, "--env-file", environ)
    for exc in mistakes.errors:
        yield mistake(exc)


def mistake(exc: ConfigError) -> Finding:
    """Return *exc* as a finding."""
    return Finding(Level.MISTAKE, "option", summary(exc))
