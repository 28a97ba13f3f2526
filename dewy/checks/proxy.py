"""The proxy alone: its listeners and its backends."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..config import Settings
from ..proxy.resolver import Resolver
from .finding import Finding, Level

__all__ = ["proxy_findings"]


async def proxy_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Check that `dewy proxy` has something to listen at, and whom to pass on to."""
    if not settings.listen:
        text = "proxy needs a --listen, or a socket passed by systemd"
        yield Finding(Level.ATTENTION, "port", text)
    resolver = Resolver()
    found = await resolver.addresses(settings.backends)
    if found:
        for each in resolver.failing(settings.backends):
            text = f"backend {each} cannot be looked up; only the others serve"
            yield Finding(Level.ATTENTION, "backend", text)
    elif settings.backends:
        names = ", ".join(map(str, settings.backends))
        text = f"no backend can be looked up: {names}"
        yield Finding(Level.FAILURE, "backend", text)
