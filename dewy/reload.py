"""Reloads of what runs: `dewy reload`, SIGHUP; and changes that wait for a restart."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from .config import Settings
from .config.settings import ROWS
from .errors import DewyError
from .logs import summary
from .system import is_cancelled
from .systemd import Service

__all__ = [
    "BESIDE",
    "Reload",
    "Reread",
    "names",
    "outcome",
    "pending",
]

log = logging.getLogger(__name__)

T = TypeVar("T")
Reread = Callable[[], Settings]
"""Returns the settings with which dewy would start now."""


class Reload(ABC):
    """
    Reload of the configuration, one at a time.

    Args:
        describe: Returns the status for the service manager once it is over.

        stopping: The reason why none begins any more after `stop`.
    """

    def __init__(
        self,
        reread: Reread,
        service: Service,
        describe: Callable[[], str],
        stopping: str,
    ) -> None:
        self._reread = reread
        self._service = service
        self._describe = describe
        self._stopping = stopping
        self._busy = asyncio.Lock()
        self._over = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def request(self) -> None:
        """Start `reload` in the background; its outcome is logged."""
        self._begin(self._requested())

    async def stop(self) -> None:
        """Cancel a reload that is under way, and refuse any other."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def reload(self) -> str:
        """
        Read, check, and apply the configuration; return the text for the operator.

        Raises:
            ConfigError: the configuration is invalid; nothing changed.
            DewyError: a port cannot be opened, or dewy stops; nothing changed.
        """
        if self._over:
            raise DewyError(self._stopping)
        work = self._begin(self._take_in_turn())
        try:
            return await work
        except asyncio.CancelledError:
            if work.cancelled() and self._over and not is_cancelled():
                raise DewyError(self._stopping) from None
            raise

    @abstractmethod
    async def take(self) -> str:
        """Read and apply the configuration; return the text for the operator."""

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _take_in_turn(self) -> str:
        async with self._busy:
            self._service.reloading()
            try:
                told = await self.take()
            finally:
                self._service.ready(self._describe())
        log.info("Configuration reloaded", extra={"outcome": told})
        return told

    async def _requested(self) -> None:
        try:
            await self.reload()
        except (DewyError, OSError) as exc:
            log.error("Configuration not reloaded", extra={"error": summary(exc)})


def outcome(
    verb: str, changed: Sequence[str], left: Sequence[str], more: Sequence[str] = ()
) -> str:
    """Return what a reload *changed*, what is *left* to a restart, and *more*."""
    told = f"{verb}: {', '.join(changed)}" if changed else "nothing changed"
    if left:
        told += f"; restart dewy for: {', '.join(left)}"
    return "; ".join([told, *([", ".join(more)] if more else ())])


BESIDE = frozenset({"cautions", "overridden"})
"""Fields of the settings that are no options."""


def names(one: Settings, other: Settings) -> list[str]:
    """Return the options in which both differ, as they are written."""
    written = {
        option.setting: f"--{option.name}"
        for option in ROWS
        if one.command in option.commands
    }
    return [
        written.get(each.name, each.name.replace("_", " "))
        for each in fields(Settings)
        if each.name != "run_options"
        if getattr(one, each.name) != getattr(other, each.name)
    ]


async def pending(settings: Settings, reread: Reread) -> str:
    """
    Return the phrase on what a restart of dewy would take over, or keep it from.

    It begins with a semicolon, or is "" where nothing differs from *settings*.
    """
    try:
        read = await asyncio.to_thread(reread)
    except (DewyError, OSError) as exc:
        return f"; dewy itself would not start again: {summary(exc)}"
    left = [name for name in names(settings, read) if name not in BESIDE]
    told = f"; restart dewy for: {', '.join(left)}" if left else ""
    return told + "".join(f"; {each}" for each in read.overridden)
