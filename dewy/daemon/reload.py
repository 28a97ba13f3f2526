"""Reload of the configuration while everything goes on: `dewy reload`, SIGHUP."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from ..agent import Agent
from ..config import Settings
from ..config.settings import reloadable
from ..containers.options.arguments import RunOptions, parse
from ..containers.renewal import changed_options
from ..containers.replica_set import ReplicaSet
from ..errors import ConfigError
from ..polling import Poller
from ..reload import BESIDE, Reload, Reread, names, outcome
from ..systemd import Service

__all__ = ["TAKEN", "ContainerReload", "merged"]

TAKEN = reloadable("container") | {"run_options"}
"""Settings that may change while dewy runs; the rest requires a restart."""


class ContainerReload(Reload):
    """Reload of the configuration of a dewy that keeps replicas."""

    def __init__(
        self,
        reread: Reread,
        service: Service,
        agent: Agent,
        poller: Poller,
        replica_set: ReplicaSet,
    ) -> None:
        super().__init__(reread, service, agent.describe, "dewy is stopping")
        self._agent = agent
        self._poller = poller
        self._replica_set = replica_set

    async def take(self) -> str:
        old = self._agent.settings
        read, options = await self._read()
        new, left = merged(old, read)
        changed = names(old, new)
        if self._replica_set.differs(options):
            changed += _run_options(old, new)
        rolled = ", ".join(filter(_rolls, changed))
        self._replica_set.renew(new, options, rolled and f"{rolled} changed")
        self._poller.wake()
        return outcome("changed", changed, left, read.overridden)

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
        told = outcome("would change", changed, left, read.overridden)
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


def merged(old: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """
    Return *old* with the permitted changes of *read*, and the names of the others.
    """
    new = replace(old, **{name: getattr(read, name) for name in TAKEN})
    return new, [name for name in names(new, read) if name not in BESIDE]


def _rolls(name: str) -> bool:
    """Return whether a change of the option replaces replicas."""
    return name == "--cmd" or not name.startswith("--")


def _run_options(old: Settings, new: Settings) -> list[str]:
    """Return the options after `--` in which both differ; values may be secret."""
    return changed_options(old.run_options, new.run_options) or ["an env file"]
