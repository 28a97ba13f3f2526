"""Pipeline of one `--notifier`: the target with all that is round it."""

from __future__ import annotations

import os
from typing import Self

from .. import urls
from ..errors import ConfigError
from ..logs import redactor
from ..system import Clock
from . import NOTIFIERS, Notice, Notifier, Origin
from .dedup import Dedup
from .min_level import MinLevel
from .queue import NoticeQueue
from .redacting import Redacting, Strike
from .retrying import Retrying
from .throttle import Throttle

QUIET = "quiet"


class Pipeline:
    """
    A chain that filters a notice at once, and delivers it in its own time.

    From the outside in: secrets are struck out, errors limited, ordinary notices
    left out with *quiet*, repetitions left out, the rest queued and retried.
    """

    def __init__(self, target: Notifier, clock: Clock, *, quiet: bool = False) -> None:
        self._target = target
        retrying = Retrying(target, clock)
        self._backlog = NoticeQueue(retrying, retrying.leave)
        head: Notifier = Dedup(self._backlog, clock)
        head = Throttle(MinLevel(head) if quiet else head, clock)
        self._head: Notifier = Redacting(head, strike())

    def __repr__(self) -> str:
        return f"<Pipeline to {self._target!r}>"

    async def __aenter__(self) -> Self:
        await self._backlog.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._backlog.__aexit__(*exc_info)

    async def send(self, notice: Notice) -> None:
        await self._head.send(notice)


def open_pipeline(url: str, origin: Origin, clock: Clock) -> Pipeline:
    """
    Return the channel to what *url* names, where `quiet` may stand beside the options
    of its scheme. For a thread: authorities may be read.

    Raises:
        ConfigError: *url* is invalid.
    """
    bare, quiet = _without_quiet(url)
    return Pipeline(NOTIFIERS.open(bare, origin), clock, quiet=quiet)


def strike() -> Strike:
    """
    Return a function that takes out secrets: those of the environment, and tokens.
    """
    known = redactor(os.environ)
    return lambda text: urls.strike(known(text))


def _without_quiet(url: str) -> tuple[str, bool]:
    """Return *url* as the target is to see it, not a letter of the rest changed."""
    head, mark, query = url.partition("?")
    pairs = query.split("&") if mark else []
    stated = [pair for pair in pairs if pair.partition("=")[0].lower() == QUIET]
    if not stated:
        return url, False
    rest = "&".join(pair for pair in pairs if pair not in stated)
    value = stated[-1].partition("=")[2]
    bare = f"{head}?{rest}" if rest else head
    try:
        return bare, urls.boolean(QUIET, value) if value else False
    except ConfigError as exc:
        # Of several notifiers this one.
        raise ConfigError(f"notifier {urls.redact(url)}: {exc}") from None
