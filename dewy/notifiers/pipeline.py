"""Pipeline of one `--notifier`: the target with its filters and its queue."""

from __future__ import annotations

import os
from typing import Self

from .. import urls
from ..errors import ConfigError
from ..logs import readable, redactor
from ..system import Clock
from . import NOTIFIERS, Notice, Notifier, Origin
from .filters import Dedup, MinLevel, Redacting, Strike, Throttle
from .queue import Health, NoticeQueue

__all__ = ["Pipeline", "name_of", "open_pipeline", "open_target"]

QUIET = "quiet"


class Pipeline:
    """
    The filters, the queue and the target of one notifier.

    A notice passes through redaction, throttling, with *quiet* the minimum level,
    deduplication, and the queue, which retries.

    Attributes:
        name: The target's name in messages, without secrets.

        kind: The scheme of its URL.
    """

    def __init__(
        self,
        target: Notifier,
        clock: Clock,
        *,
        quiet: bool = False,
        name: str = "",
        kind: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self._target = target
        self._queue = NoticeQueue(target, clock)
        head: Notifier = Dedup(self._queue, clock)
        head = Throttle(MinLevel(head) if quiet else head, clock)
        self._head: Notifier = Redacting(head, strike())

    def __repr__(self) -> str:
        return f"<Pipeline to {self._target!r}>"

    @property
    def health(self) -> Health:
        """The counts and the last failure of the target."""
        return self._queue.health

    @property
    def trouble(self) -> str:
        """The failure of the target in a phrase; "" while it accepts notices."""
        if not (problem := self.health.problem):
            return ""
        waiting = len(self._queue)
        rest = f"; {waiting} notice{'s wait' if waiting > 1 else ' waits'}"
        return f"notifier {self.name} fails: {problem}{rest if waiting else ''}"

    async def __aenter__(self) -> Self:
        await self._queue.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._queue.__aexit__(*exc_info)

    def leave(self, *, hurry: bool = False) -> None:
        """Attempt each notice once from now on; see `NoticeQueue.leave`."""
        self._queue.leave(hurry=hurry)

    async def send(self, notice: Notice) -> None:
        await self._head.send(notice)


def open_pipeline(url: str, origin: Origin, clock: Clock) -> Pipeline:
    """
    Return the pipeline of *url*, which may have `quiet` beside its scheme's options.

    Call it in a thread: it may read CA certificates.

    Raises:
        ConfigError: *url* is invalid.
    """
    bare, quiet = _without_quiet(url)
    target = NOTIFIERS.open(bare, origin)
    kind = urls.split(url).scheme
    return Pipeline(target, clock, quiet=quiet, name=name_of(url), kind=kind)


def open_target(url: str, origin: Origin) -> Notifier:
    """
    Return the target that *url* names, with redaction but without queue and filters.

    Raises:
        ConfigError: *url* is invalid.
    """
    return Redacting(NOTIFIERS.open(_without_quiet(url)[0], origin), strike())


def name_of(url: str) -> str:
    """Return a notifier's name in messages: without the path, which may be secret."""
    parts = urls.split(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def strike() -> Strike:
    """Return a function that redacts secrets, and replaces bytes that are not text."""
    known = redactor(os.environ)
    return lambda text: readable(urls.strike(known(text)))


def _without_quiet(url: str) -> tuple[str, bool]:
    """Take the option `quiet` off *url*, and leave the rest as it is written."""
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
        # There may be several notifiers.
        raise ConfigError(f"notifier {urls.redact(url)}: {exc}") from None
