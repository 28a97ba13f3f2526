"""The state in memory and on disk, which only this store changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from ..system import Clock, to_the_end
from .state import Installed, State, StateFile, StateNotWritten

log = logging.getLogger(__name__)

Transition = Callable[[State], State]


class StateStore:
    """
    Store of the root's state.

    Args:
        written: True if *state* is what the file holds.

    Attributes:
        found: Whether an earlier dewy wrote the state.

        state: The state as last changed.

        unwritten: The file that the disk refused last, with the reason and the remedy;
            "" once it is written.
    """

    def __init__(self, file: StateFile, state: State, *, written: bool = True) -> None:
        self._file = file
        self._writing = asyncio.Lock()
        self._written = state if written else None
        self.found = written
        self.state = state
        self.unwritten = ""

    async def change(self, change: Transition) -> State:
        """
        Apply *change* to the state, write the result, and return it.

        Raises:
            StateNotWritten: the file could not be written; nothing changed.
        """
        async with self._writing:
            return await self._write(change(self.state))

    async def note(self, change: Transition) -> State:
        """
        Change the state as `change` does, even if the disk refuses it.

        A full disk must neither keep a program from being restarted nor a bad version
        from being remembered while this dewy lives. A cancellation during the write
        does not undo it.
        """
        async with self._writing:
            changed = change(self.state)
            try:
                return await self._write(changed)
            except OSError as exc:
                log.error("State not written", extra={"error": str(exc)})
                self.state = changed
                return changed
            except asyncio.CancelledError:
                self.state = changed
                raise

    async def flush(self) -> None:
        """Write the state if the disk refused it before."""
        await self.note(lambda state: state)

    async def restore(self) -> bool:
        """
        Write the state again if its file was removed or replaced; return whether it
        was.

        Raises:
            StateNotWritten: the file could not be written.
        """
        async with self._writing:
            if await asyncio.to_thread(self._file.is_as_written):
                return False
            self._written = None
            await self._write(self.state)
            return True

    async def condemn(
        self,
        tag: str,
        identity: str,
        reason: str,
        clock: Clock,
        *,
        traffic: bool,
        back: Installed | None = None,
        detail: str = "",
        by: str = "",
    ) -> None:
        """
        Quarantine a version and make *back* the running one, in one write.

        If another version runs by then, it stays. *traffic*, *detail* and *by* are as
        in `Quarantine.add`.
        """

        def condemned(state: State) -> State:
            changed = replace(
                state,
                wanted="" if state.wanted == tag else state.wanted,
                quarantine=state.quarantine.add(
                    tag, identity, reason, clock, traffic=traffic, detail=detail, by=by
                ),
            )
            running = state.running
            if back is None or running is None:
                return changed
            if (running.tag, running.identity) != (tag, identity):
                return changed
            because = f"put back, because {tag} {reason}"
            return replace(changed, running=back, back_at=clock.wall(), because=because)

        await self.note(condemned)

    async def saw(self, names: Collection[str], complete: bool, now: float) -> None:
        """Drop quarantine entries of versions that are gone; see `Quarantine.seen`."""

        def seen(state: State) -> State:
            quarantine = state.quarantine.seen(names, complete, now)
            return replace(state, quarantine=quarantine)

        if seen(self.state) != self.state:
            await self.note(seen)

    async def broken(self) -> list[Path]:
        """Return the files of earlier states that could not be read."""
        return await asyncio.to_thread(self._file.broken)

    async def _write(self, changed: State) -> State:
        if changed != self._written:
            # Unknown, should this fail or be cancelled.
            self._written = None
            try:
                await to_the_end(self._file.write, changed)
            except OSError as exc:
                refusal = StateNotWritten(self._file.path, exc)
                self.unwritten = (
                    f"could not be written to {refusal.trouble}: {refusal.advice}, "
                    "it is written at the next poll"
                )
                raise
            self._written, self.unwritten = changed, ""
        self.state = changed
        return changed
