"""Probation: a release that dies soon after taking over is taken back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ..config import Settings
from ..errors import DeploymentError
from ..notifiers import Kind
from ..system import Clock
from .attempt import Attempt, new_id
from .deployment_log import DeploymentLog
from .state import Installed
from .state_store import StateStore

log = logging.getLogger(__name__)

PutBack = Callable[[Installed], Awaitable[None]]


class Probation:
    """Watches over the release that took over last, for the probation time."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        state_store: StateStore,
        deployment_log: DeploymentLog,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._state_store = state_store
        self._deployment_log = deployment_log
        self._release: Installed | None = None
        self._begun = 0.0
        self._deployment = ""

    def begin(self, release: Installed, deployment: str) -> None:
        """From now on *release* is on probation, and nothing else."""
        self._release = release
        self._deployment = deployment
        self._begun = self._clock.monotonic()

    def resume(self) -> None:
        """
        Put back on probation what was on it when an earlier dewy ended.

        Not what was gone back to: that has proved itself before.
        """
        running, back_at = (
            self._state_store.state.running,
            self._state_store.state.back_at,
        )
        if running is None or back_at:
            return
        passed = max(0.0, self._clock.wall() - running.at)
        if passed <= self.settings.probation:
            self.begin(running, new_id())
            self._begun -= passed

    async def verdict(self, how: str, tail: tuple[str, ...], put_back: PutBack) -> bool:
        """
        Answer a death of what serves; *how* and the last lines tell of it.

        Within probation the previous release is put back in place, and True
        returned; whoever asks starts it. The state is written first: a dewy
        killed in between must not start the bad release again. Where the
        previous one cannot be put back, the bad one is all there is to start.
        """
        bad, self._release = self._release, None
        state = self._state_store.state
        back = state.previous
        if not (bad and back and self.settings.rollback) or state.running != bad:
            return False
        if self._clock.monotonic() - self._begun > self.settings.probation:
            return False
        reason = f"{bad.name} died within probation ({how})"
        await self._state_store.condemn(
            bad.tag, bad.identity, reason, self._clock, traffic=True, back=back
        )
        try:
            await put_back(back)
        except DeploymentError as exc:
            log.error("Not rolled back", extra={"to": back.name, "error": str(exc)})
            before = state
            await self._state_store.note(
                lambda state: replace(
                    state, running=bad, because=before.because, back_at=before.back_at
                )
            )
            return False
        attempt = Attempt(
            bad.name,
            back.name,
            "deploy",
            self._begun,
            "probation",
            id=self._deployment,
        )
        log.error("Rolled back", extra=attempt.log_fields(to=back.name, error=reason))
        await self._deployment_log.record(attempt, "rolled back", reason, tail)
        text = f"{reason}; back to {back.name}"
        self._deployment_log.tell(Kind.ERROR, text, ("log", "\n".join(tail)))
        return True
