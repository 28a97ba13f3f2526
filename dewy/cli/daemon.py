"""Handing over to the daemon: what `server` and `assets` share."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import loop
from ..config import Settings

__all__ = ["serve"]

log = logging.getLogger(__name__)


def serve(settings: Settings, reread: Callable[[], Settings] | None = None) -> int:
    """Run the daemon to its end; its exit status. *reread* is for `dewy reload`."""
    from .. import daemon

    for caution in settings.cautions:
        log.warning("%s", caution)
    # Until the loop is closed, too: that waits for tasks and threads.
    with daemon.LastResort() as last_resort:
        return loop.run(daemon.run(settings, reread, last_resort))
