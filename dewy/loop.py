"""
The event loop dewy runs on: uvloop where the extra `fast` is there, else asyncio's.

`DEWY_LOOP=asyncio` and `DEWY_LOOP=uvloop` choose one of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ConfigError, ImplementationUnavailable, install_hint

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)

T = TypeVar("T")

ASYNCIO, UVLOOP = "asyncio", "uvloop"


def name() -> str:
    """
    Return `uvloop` or `asyncio`; imports neither.

    Raises:
        ConfigError: `DEWY_LOOP` names neither, or one that is not installed.
    """
    present = find_spec(UVLOOP) is not None
    wanted = os.environ.get("DEWY_LOOP") or (UVLOOP if present else ASYNCIO)
    if wanted not in (ASYNCIO, UVLOOP):
        raise ConfigError(f"DEWY_LOOP is {ASYNCIO} or {UVLOOP}, not {wanted!r}")
    if wanted == UVLOOP and not present:
        raise ImplementationUnavailable(
            f"DEWY_LOOP=uvloop needs it installed: {install_hint('fast')}"
        )
    return wanted


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """
    Return uvloop's factory; None for asyncio's own.

    Raises:
        ConfigError: the same as for `name`.
    """
    if name() == ASYNCIO:
        return None
    try:
        import uvloop
    except ImportError as exc:
        if os.environ.get("DEWY_LOOP"):
            raise ImplementationUnavailable(
                f"DEWY_LOOP=uvloop cannot be used: {exc}"
            ) from exc
        log.warning("Event loop uvloop not used", extra={"error": str(exc)})
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end on that loop, with threads that keep nobody waiting."""
    try:
        factory = loop_factory()
    except ConfigError:
        main.close()
        raise
    # Only here: most commands need no loop, and its modules take long to load.
    import asyncio

    from .threads import DaemonThreads

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_default_executor(DaemonThreads())
        return runner.run(main)
