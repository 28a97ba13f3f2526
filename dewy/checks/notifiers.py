"""Trial of the notifiers: a notice to each, and what it made of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from ..config import Settings
from ..errors import ConfigError, DewyError
from ..logs import summary
from ..notifiers import Notice, NoticeKind, Origin
from ..notifiers.pipeline import name_of, open_target
from ..notifiers.queue import DELIVERY
from ..system import hostname
from .endpoints import mistake
from .finding import Finding, Level

__all__ = ["SUBJECT", "notifier_findings"]

SUBJECT = "notifier"


async def notifier_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Send a test notice through each notifier at once; yield a finding for each."""
    origin = Origin(hostname(), settings.root, settings.command)
    tried = [_tried(url, origin) for url in settings.notifiers]
    for found in await asyncio.gather(*tried):
        yield found


async def _tried(url: str, origin: Origin) -> Finding:
    try:
        target = await asyncio.to_thread(open_target, url, origin)
    except ConfigError as exc:
        return mistake(exc)
    text = (
        f"Test by `dewy check --test-notifiers` on {origin.host}: this notifier works"
    )
    begun = time.monotonic()
    try:
        async with asyncio.timeout(DELIVERY):
            await target.send(Notice(NoticeKind.ORDINARY, text, at=time.time()))
    except (DewyError, OSError) as exc:  # TimeoutError is an OSError
        why = summary(exc) if str(exc) else f"no answer within {DELIVERY:g} s"
        return Finding(Level.FAILURE, SUBJECT, f"{name_of(url)}: {why}")
    except Exception as exc:  # noqa: BLE001 - a plugin's, which is told as such
        return Finding(Level.FAILURE, SUBJECT, f"{name_of(url)}: {summary(exc)}")
    took = time.monotonic() - begun
    return Finding(
        Level.OK, SUBJECT, f"{name_of(url)} took a test notice in {took:.1f} s"
    )
