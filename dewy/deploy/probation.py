"""Probation: the rollback of a release that fails soon after taking over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from ..config import Reloadable, Settings
from ..errors import DeploymentError
from ..logs import words_of
from ..notifiers import NoticeKind
from ..system import Clock
from .changes import Attempt, new_id
from .deployer import Deployer
from .deployment_log import DeploymentLog
from .state import Installed, State
from .state_store import StateStore

log = logging.getLogger(__name__)

DECISION = 0.5
"""Seconds after which is looked again whether a failure is decided."""

LONGEST_DECISION = 10.0
"""Limit in seconds of a decision that ends after a probation shorter than that."""

LONGEST_RETURN = 30.0
"""Seconds after which no further release is tried to go back to: nothing may serve."""

NOTHING = "no earlier release can be put back"


class PutBack:
    """
    The automatic return from a release that failed its probation.

    Attributes:
        left: The name of that release.

        reason: The failure, a phrase.

        over: Set once the release that runs instead is chosen.

        at: The time by which it is over, monotonic seconds.
    """

    def __init__(self, left: str, reason: str) -> None:
        self.left = left
        self.reason = reason
        self.over = asyncio.Event()
        self.at = 0.0

    def finish(self, now: float) -> None:
        """Let those who wait go on: what runs instead was decided *now*."""
        self.at = now
        self.over.set()


class Probation:
    """
    Probation of the release that took over last.

    The release fails by dying, by failing health checks, or by breaking connections;
    otherwise it passes.

    Attributes:
        put_back: The last change of version, under way or over, if it was automatic;
            else None.
    """

    def __init__(
        self,
        settings: Reloadable[Settings],
        clock: Clock,
        state_store: StateStore,
        deployment_log: DeploymentLog,
    ) -> None:
        self._settings = settings
        self.put_back: PutBack | None = None
        self._clock = clock
        self._state_store = state_store
        self._deployment_log = deployment_log
        self._release: Installed | None = None
        self._begun = 0.0
        self._deployment = self._previous = ""
        self._owed: Installed | None = None
        self._left: tuple[Installed, float] | None = None
        self._serves: tuple[Installed, float] | None = None
        self._replaced: Installed | None = None
        self._end: asyncio.Future[bool] | None = None
        self._undecided: Callable[[], bool] = lambda: False
        self._prolonged = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left(self) -> float | None:
        """Seconds left of the probation; None if nothing is on probation."""
        if self._release is None:
            return None
        return max(0.0, self._settings.current.probation - self._since(self._begun))

    async def over(self) -> bool:
        """Wait until the probation is over; return whether the release passed."""
        return True if self._end is None else await asyncio.shield(self._end)

    def begin(self, release: Installed, deployment: str, previous: str = "") -> None:
        """
        Put *release*, which replaced *previous*, on probation; end any other probation.
        """
        self._previous = previous
        self._replaced = self._serves[0] if self._serves else None
        self._begin(release, deployment, self._clock.monotonic())

    def watch(self, undecided: Callable[[], bool]) -> None:
        """
        Do not let a release pass while *undecided* returns true: a failure may be
        imminent.
        """
        self._undecided = undecided

    def end(self) -> None:
        """End the probation: the running release has proved itself before."""
        self._release = self.put_back = self._replaced = None
        self._finish(passed=False)

    def leave(self) -> None:
        """Do not let a release pass any more: it is being stopped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def look(self, deployer: Deployer) -> None:
        """
        Let a release that failed, but runs as a stopgap, prove itself by serving.

        Called now and then, and before each change of version. It leaves quarantine
        once it has served for the probation time without a failure; until then it is
        the last resort when a successor fails.
        """
        running = self._state_store.state.running
        if running is None or self._release or not self._is_excused(running):
            self._serves = None
            return
        if not await deployer.alive() or self._undecided():
            self._serves = None
            return
        if self._serves is None or self._serves[0] != running:
            self._serves = running, self._clock.monotonic()
        elif self._since(self._serves[1]) >= self._settings.current.probation:
            self._owed = self._serves = None
            log.info("Probation passed", extra={"tag": running.name})
            await self._state_store.note(partial(_proved, running))

    def _is_excused(self, release: Installed) -> bool:
        """Return whether *release* is in quarantine, and nobody put it there."""
        quarantine = self._state_store.state.quarantine
        entry = quarantine.find(release.tag, release.identity)
        return entry is not None and not entry.by

    async def decided(self) -> PutBack | None:
        """
        Wait for an automatic rollback under way; return the last change if it was one.
        """
        if (back := self.put_back) is not None:
            await back.over.wait()
        return back if self.put_back is back else None

    def acknowledge(self) -> None:
        """Let the last change count as an operator's, who knows of it by now."""
        self.put_back = None

    def _begin(self, release: Installed, deployment: str, begun: float) -> None:
        self._finish(passed=False)
        self.put_back = None
        self._prolonged = False
        self._release = release
        self._deployment = deployment
        self._begun = begun
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        self._timer = loop.call_later(self.left or 0.0, self._pass)

    def _pass(self) -> None:
        # Asked once: a timer that rings a moment early would find time left, and then
        # none, and let pass what is not decided yet.
        left = self.left
        self._prolonged = not left and self._is_prolonged()
        if again := left or (DECISION if self._prolonged else 0.0):
            # The clock that counts is not the loop's.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(again, self._pass)
            return
        release = self._release
        if release is not None and release == self._state_store.state.running:
            fields = {"deployment": self._deployment, "tag": release.name}
            log.info("Probation passed", extra=fields)
        self._release = None
        self._finish(passed=release is not None)

    def _is_prolonged(self) -> bool:
        """Return whether probation goes on past its time, for as long again at most."""
        time = self._settings.current.probation
        longest = time + max(time, LONGEST_DECISION)
        return self._undecided() and self._since(self._begun) < longest

    def _finish(self, *, passed: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._end is not None and not self._end.done():
            self._end.set_result(passed)

    def resume(self) -> None:
        """
        Resume the probation that was running when an earlier dewy ended.

        A release that a rollback returned to is not on probation: it has proved itself
        before.
        """
        running, back_at = (
            self._state_store.state.running,
            self._state_store.state.back_at,
        )
        if running is None or back_at:
            return
        passed = max(0.0, self._clock.wall() - running.at)
        if passed <= self._settings.current.probation:
            self._begin(running, new_id(), self._clock.monotonic() - passed)

    async def verdict(
        self, how: str, tail: tuple[str, ...], deployer: Deployer, verb: str = "died"
    ) -> bool:
        """
        Judge a failure of the serving release: that it *verb*, and *how*, with its last
        lines.

        Within probation, put the best available release back in place and return True;
        the caller starts it. If there is none, the failed release is started again
        until the registry offers another one; each further death is another failed try.
        """
        (bad, self._release), state = (self._release, None), self._state_store.state
        running = state.running
        self._serves = None
        self._finish(passed=False)
        await self._ease(running)
        if running is None or not self._settings.current.rollback:
            return False
        late = self._since(self._begun) > self._settings.current.probation
        if running != bad or (late and not self._prolonged):
            if running != self._owed:
                return False
            with self._leaving(running, f"{verb} ({how})"):
                return await self._go_back(running, deployer, state, running)
        reason = f"{verb} within probation ({how})"
        with self._leaving(bad, reason):
            best = next(self._candidates(state), None)
            await self._condemn(bad, best, reason, tail)
            went_back = await self._go_back(bad, deployer, state, best or bad)
        if went_back:
            await self._tell(bad, "rolled back", reason, tail)
            return True
        if self._state_store.state.running == bad:
            await self._tell(bad, "failed", f"{reason}; {NOTHING}", tail)
        return False

    @contextmanager
    def _leaving(self, bad: Installed, reason: str) -> Iterator[None]:
        self.put_back = back = PutBack(bad.name, reason)
        try:
            yield
        finally:
            if self.put_back is back and self._state_store.state.running == bad:
                self.put_back = None
            back.finish(self._clock.monotonic())

    def _since(self, begun: float) -> float:
        return self._clock.monotonic() - begun

    async def _condemn(
        self,
        bad: Installed,
        back: Installed | None,
        reason: str,
        tail: tuple[str, ...],
    ) -> None:
        """Written first: a dewy killed from here on must not start *bad* again."""
        await self._state_store.condemn(
            bad.tag,
            bad.identity,
            reason,
            self._clock,
            traffic=True,
            back=back,
            detail=words_of(tail),
        )

    async def _go_back(
        self, bad: Installed, deployer: Deployer, before: State, written: Installed
    ) -> bool:
        """
        Put the best release back that can be; the state names each one first.

        *written* is what the state names by this verdict so far. Anything else was
        chosen by somebody else meanwhile, and is what runs.
        """
        best, begun = list(self._candidates(before)), self._clock.monotonic()
        for back in await _at_hand_first(best, deployer):
            if self._since(begun) >= LONGEST_RETURN:
                break
            now = self._clock.wall()
            await self._state_store.note(partial(_back, written, back, now))
            if self._state_store.state.running != back:
                return False
            written = back
            try:
                await deployer.put_back(back)
            except DeploymentError as exc:
                log.error("Not rolled back", extra={"to": back.name, "error": str(exc)})
                continue
            self._owed, self._left = None, (bad, self._clock.monotonic())
            # Another version may have taken over while this one was fetched.
            return self._state_store.state.running == back
        await self._state_store.note(partial(_stay, written, before))
        self._owed, self._left = bad, (bad, self._clock.monotonic())
        return False

    def _candidates(self, state: State) -> Iterator[Installed]:
        """Yield what to go back to, best first; last, what served until now."""
        yield from state.candidates()
        for each in state.installed:
            replaced = each == self._replaced != state.running
            if replaced and self._is_excused(each):
                yield each

    async def _ease(self, running: Installed | None) -> None:
        """Let what failed be tried again, if what took its place died, too."""
        left, self._left = self._left, None
        if left is None or running is None or running == left[0]:
            return
        bad, at = left
        if self._since(at) <= self._settings.current.probation:
            await self._state_store.note(partial(_eased, bad, self._clock))

    async def _tell(
        self, bad: Installed, outcome: str, reason: str, tail: tuple[str, ...]
    ) -> None:
        running = self._state_store.state.running
        back = running.name if running and running != bad else ""
        previous = self._previous or await self._deployment_log.replaced_by(bad.name)
        attempt = Attempt(
            bad.name, previous, "deploy", self._begun, "probation", id=self._deployment
        )
        what = "Rolled back" if back else "Could not roll back"
        detail = words_of(tail)
        error = ": ".join(filter(None, (reason, detail)))
        log.error(what, extra=attempt.log_fields(to=back, error=error))
        told = f"{reason}; back to {back}" if back else reason
        await self._deployment_log.record(attempt, outcome, told, tail, detail=detail)
        text = f"{bad.name} {told}"
        self._deployment_log.tell(NoticeKind.ERROR, text, ("log", "\n".join(tail)))


async def _at_hand_first(
    best: Sequence[Installed], deployer: Deployer
) -> list[Installed]:
    """
    Return the releases to go back to, best first, but those at hand before the others.

    Nothing may be serving by now: no download is waited for that can be avoided.
    """
    here = await asyncio.gather(*map(deployer.at_hand, best))
    ready = {each for each, is_here in zip(best, here, strict=True) if is_here}
    return sorted(best, key=lambda each: each not in ready)


def _back(written: Installed, back: Installed, now: float, state: State) -> State:
    """Let *back* run, unless something other than what was *written* runs by now."""
    if state.running == back or state.running != written:
        return state
    return replace(state, running=back, back_at=now)


def _stay(written: Installed, before: State, state: State) -> State:
    if state.running != written:
        return state
    return replace(
        state, running=before.running, because=before.because, back_at=before.back_at
    )


def _eased(bad: Installed, clock: Clock, state: State) -> State:
    quarantine = state.quarantine.eased(bad.tag, bad.identity, clock)
    return replace(state, quarantine=quarantine)


def _proved(good: Installed, state: State) -> State:
    quarantine = state.quarantine.succeeded(good.tag, good.identity)
    return replace(state, quarantine=quarantine)
