"""Limit of the time that stopping takes, whatever hangs."""

from __future__ import annotations

import asyncio
import logging

from ..config import Settings
from ..signals import Signals
from .last_resort import LastResort

__all__ = ["MARGIN", "ended"]

log = logging.getLogger(__name__)

KILLING = 3.0
"""Seconds of `--shutdown-timeout` that are kept for killing and removing."""

MARGIN = 3.0
"""Seconds beyond it, after which dewy exits whatever is still going on."""


async def ended(
    keeping: asyncio.Task[int],
    settings: Settings,
    signals: Signals,
    last_resort: LastResort,
) -> None:
    """
    Return when *keeping*, which was cancelled, has ended.

    Anything still draining when the time is nearly over, or at a second signal, is
    killed. If even that does not end it, the process exits.
    """
    seconds = settings.shutdown_timeout
    last_resort.within(seconds + MARGIN)
    hurried = asyncio.create_task(signals.hurry.wait(), name="hurry")
    await asyncio.wait(
        {keeping, hurried},
        timeout=seconds - min(KILLING, seconds / 2),
        return_when=asyncio.FIRST_COMPLETED,
    )
    if not keeping.done():
        if not signals.hurry.is_set():
            log.warning(
                "Killing what still drains, for --shutdown-timeout is nearly over",
                extra={"shutdown_timeout": seconds},
            )
        signals.hurry.set()
        last_resort.within(KILLING + MARGIN)
    await asyncio.wait({keeping})
    hurried.cancel()
    await asyncio.wait({hurried})
