"""Reload of the configuration while everything goes on: `dewy reload`, SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import replace

from ..agent import Agent
from ..config import Settings
from ..config.options import reloadable
from ..containers.options.arguments import RunOptions, parse
from ..containers.renewal import changed_options
from ..containers.replica_set import ReplicaSet
from ..errors import ConfigError, DewyError
from ..logs import summary
from ..polling import Poller
from ..systemd import Service
from .pending import BESIDE, Reread, names

__all__ = ["TAKEN", "ContainerReload", "merged"]

log = logging.getLogger(__name__)

TAKEN = reloadable("container") | {"run_options"}
"""Settings that may change while dewy runs; the rest requires a restart."""


class ContainerReload:
    """
    Reload of the configuration of a dewy that keeps replicas.

    Args:
        reread: Returns the settings with which dewy would start now.
    """

    def __init__(
        self,
        reread: Reread,
        service: Service,
        agent: Agent,
        poller: Poller,
        replica_set: ReplicaSet,
    ) -> None:
        self._reread = reread
        self._service = service
        self._agent = agent
        self._poller = poller
        self._replica_set = replica_set
        self._busy = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self) -> None:
        """Start `reload` in the background; its outcome is logged."""
        task = asyncio.create_task(self._reload(), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel a requested reload."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def reload(self) -> str:
        """
        Read, check, and apply the configuration; return the text for the operator.

        Raises:
            ConfigError: the configuration is invalid; nothing changed.
        """
        async with self._busy:
            self._service.reloading()
            try:
                return await self._take()
            finally:
                self._service.ready(self._agent.describe())

    async def _take(self) -> str:
        old = self._agent.settings
        read, options = await self._read()
        new, left = merged(old, read)
        changed = names(old, new)
        if self._replica_set.differs(options):
            changed += _run_options(old, new)
        rolled = ", ".join(filter(_rolls, changed))
        self._replica_set.renew(new, options, rolled and f"{rolled} changed")
        self._poller.wake()
        told = _outcome("changed", changed, left, read)
        log.info("Configuration reloaded", extra={"outcome": told})
        return told

    async def preview(self) -> str:
        """
        Return the text on what `reload` would change, and which replicas it replaces.

        Raises:
            ConfigError: the configuration is invalid.
        """
        old = self._agent.settings
        read, options = await self._read()
        new, left = merged(old, read)
        changed, replica_set = names(old, new), self._replica_set
        if replica_set.differs(options):
            changed += _run_options(old, new)
        replaced = await replica_set.outdated(new, options)
        told = _outcome("would change", changed, left, read)
        rolled = ", ".join(filter(_rolls, changed))
        why = f" ({rolled})" if rolled else ""
        return f"{told}; would replace: {', '.join(replaced) or 'no replica'}{why}"

    async def _read(self) -> tuple[Settings, RunOptions]:
        """Read and check the configuration."""
        old = self._agent.settings
        read = await asyncio.to_thread(self._reread)
        if read.command != old.command:
            raise ConfigError(f"this is a dewy {old.command}, not {read.command}")
        words = read.run_options
        return read, await asyncio.to_thread(parse, words, os.environ, old.root)

    async def _reload(self) -> None:
        try:
            await self.reload()
        except (DewyError, OSError) as exc:
            log.error("Configuration not reloaded", extra={"error": summary(exc)})


def merged(old: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """
    Return *old* with the permitted changes of *read*, and the names of the others.
    """
    new = replace(old, **{name: getattr(read, name) for name in TAKEN})
    return new, [name for name in names(new, read) if name not in BESIDE]


def _rolls(name: str) -> bool:
    """Return whether a change of the option replaces replicas."""
    return name == "--cmd" or not name.startswith("--")


def _outcome(
    verb: str, changed: Sequence[str], left: Sequence[str], read: Settings
) -> str:
    told = f"{verb}: {', '.join(changed)}" if changed else "nothing changed"
    if left:
        told += f"; restart dewy for: {', '.join(left)}"
    if read.overridden:
        told += f"; {', '.join(read.overridden)}"
    return told


def _run_options(old: Settings, new: Settings) -> list[str]:
    """Return the options after `--` in which both differ; values may be secret."""
    return changed_options(old.run_options, new.run_options) or ["an env file"]
