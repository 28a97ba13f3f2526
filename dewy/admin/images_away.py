"""Kept versions whose images are not on this host, where no dewy runs."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import cast

from ..config import Settings
from ..containers.application import application_of
from ..containers.engines.opening import Runtime, open_engine
from ..containers.image_store import find_image
from ..deploy.state import Installed, State
from ..errors import DewyError
from ..logs import summary
from .offline import state_of

__all__ = ["images_away"]

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds for the engine to tell which images it has."""


async def images_away(settings: Settings) -> list[Installed]:
    """
    Return the versions to go back to whose images are not on this host.

    An engine that does not answer knows of none.

    Raises:
        DewyError: the state cannot be read.
    """
    if not settings.registry.startswith("img://"):
        return []
    state = await asyncio.to_thread(state_of, settings)
    try:
        async with asyncio.timeout(PATIENCE):
            return await _away(settings, state)
    except (DewyError, OSError, TimeoutError) as exc:
        log.debug("Images not looked for", extra={"error": summary(exc)})
        return []


async def _away(settings: Settings, state: State) -> list[Installed]:
    application = application_of(settings)
    async with open_engine(cast("Runtime", settings.runtime), os.environ) as engine:
        return [
            each
            for each in state.candidates()
            if not await find_image(engine, application, each.identity)
        ]
