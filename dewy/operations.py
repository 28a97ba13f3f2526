"""Operations on a running dewy: hold, abort, deploy and roll back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil

from .agent import Agent
from .deploy import verbs
from .deploy.changes import CUT_OFF, DONE, Cancelled, Change
from .deploy.deployer import Progress
from .deploy.plan import is_same, quarantined, refuse_held
from .deploy.state import Installed, State
from .deploy.state_store import Transition
from .errors import DewyError, NotYet
from .logs import summary
from .notifiers import NoticeKind
from .release import Release
from .system import completed, is_cancelled

__all__ = ["Operations"]

UNNOTICED = 10.0
"""Seconds for which nobody can know yet that dewy itself has gone back."""

STARTING = 60.0
"""The same in seconds, as long as nothing serves."""


class Operations:
    """
    The verbs that change the version, carried out at once.

    A change that has not committed is cancelled first; each method returns the sentence
    for the operator, which says only what is true by then. *progress* is called with
    each step.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._asking: set[asyncio.Task[Release]] = set()
        self._called_off = ""

    async def hold(self) -> str:
        """Hold the current version, and cancel the change under way."""
        agent = self._agent
        # From here on nothing commits; then whatever is under way is cancelled.
        await agent.state_store.note(lambda state: verbs.hold(state)[0])
        pending = agent.changes.pending
        if pending is None or not _is_forbidden(pending, agent.state):
            if pending is not None and _goes_back(pending):
                # A rollback works under hold; the answer waits for what came of it.
                await pending.finished()
            await agent.changes.settled()
            await agent.probation.decided()
            return f"{verbs.hold(agent.state)[1]}{self._may_go_back()}"
        await agent.changes.cancel("held by operator")
        end = "had failed" if pending.error else "was cancelled"
        held = f"{verbs.hold(agent.state)[1]}{self._may_go_back()}"
        return f"{held}; the deployment of {pending.attempt.target} {end}"

    async def unhold(self) -> str:
        """End a hold."""
        return await self._change(verbs.unhold)

    async def retry(self, version: str) -> str:
        """
        Take *version* out of quarantine.

        Raises:
            DewyError: *version* is not in quarantine.
        """
        agent = self._agent
        newest = agent.newest.tag if agent.newest else ""
        retry = partial(verbs.retry, tag=version, key=agent.key, newest=newest)
        return await self._change(retry)

    async def _change(self, change: Callable[[State], verbs.Outcome]) -> str:
        message = ""

        def apply(state: State) -> State:
            nonlocal message
            changed, message = change(state)
            return changed

        await self._agent.state_store.note(apply)
        return message

    async def abort(self) -> str:
        """
        Cancel the change under way, and requests that would lead to one.

        Raises:
            DewyError: no change is under way, or the change has committed.
        """
        agent = self._agent
        called_off = self._call_off("aborted by operator")
        current = agent.changes.current
        if current is None and called_off:
            return f"the deployment was aborted; {_what_runs(agent.state)}"
        if current is None:
            raise DewyError("nothing to abort: no change of version is under way")
        if current.committed:
            await agent.changes.settled()
            raise DewyError(
                f"too late to abort: {_what_runs(agent.state)}; "
                "`dewy rollback` goes back"
            )
        await agent.changes.cancel("aborted by operator")
        if current.error:
            return (
                f"the {_noun(current)} {current.attempt.target} had failed: "
                f"{summary(current.error)}; {_what_runs(agent.state)}"
            )
        message = (
            f"the {_noun(current)} {current.attempt.target} was aborted; "
            f"{_what_runs(agent.state)}"
        )
        if _goes_back(current):
            return message
        return f"{message}; `dewy hold` keeps the next poll from trying again"

    async def deploy(self, version: str | None, progress: Progress) -> str:
        """
        Deploy *version*, or the newest release.

        Raises:
            DewyError, OSError: the version cannot be deployed, or its deployment
                failed; the running version goes on.
        """
        agent = self._agent
        with agent.changes.listening(progress):
            verbs.deploy(agent.state, version)
            progress("asking the registry")
            release = await self._ask_for(version)
            await agent.changes.settled()
            pending = agent.changes.pending
            if pending and _is_of(pending, release) and not pending.cancelled:
                joined = await self._join(pending, progress)
                if version is None:
                    return joined
                # Nobody has asked yet whether it is to be held there.
                return await agent.deploy_wanted(release, named=True)
            why = f"superseded by {release.tag}"
            if pending is not None:
                await self._preempt(pending, why, progress)
            # A rollback may have kept it out meanwhile.
            self._refuse_kept_out(release, version)
            return await agent.deploy_wanted(release, why, named=bool(version))

    async def roll_back(self, version: str | None, progress: Progress) -> str:
        """
        Go back to *version*, or to the previous release.

        A deployment that has not committed is cancelled and its version quarantined;
        the running version stays.

        Raises:
            DewyError, OSError: the release does not exist, or the rollback failed.
        """
        agent = self._agent
        with agent.changes.listening(progress):
            await agent.changes.settled()
            pending = agent.changes.pending
            if pending is None or self._brings_again(pending):
                return await self._go_back(version)
            if version in (None, pending.attempt.target) and self._leaves(pending):
                return await self._join(pending, progress)
            if version not in (None, _running(agent.state)):
                # What cannot be done cancels nothing.
                verbs.rollback(agent.state, version, agent.clock)
            # Cancelled first, then kept out, then undone: nothing commits in
            # between, and no poll brings it back.
            self._call_off(verbs.BY_OPERATOR)
            pending.cancel(verbs.BY_OPERATOR)
            if pending.release is not None:
                await self._keep_out(pending.release)
            await self._preempt(pending, verbs.BY_OPERATOR, progress)
            if pending.release and version in (None, _running(agent.state)):
                await agent.probation.decided()
                agent.probation.acknowledge()
                return _not_deployed(pending.release, agent.state)
            return await self._go_back(version)

    def _may_go_back(self) -> str:
        """Return what a hold does not stop, as the end of its answer."""
        agent = self._agent
        left, back = agent.probation.left, agent.state.previous
        if not left or back is None or not agent.settings.rollback:
            return ""
        return (
            f"; should it fail its probation, which lasts {ceil(left)} s more, "
            f"{back.name} is put back all the same"
        )

    def _brings_again(self, change: Change) -> bool:
        """Return whether *change* fetches what should run anyway, as its files went."""
        release, state = change.release, self._agent.state
        due = (state.running, state.gone)
        return release is not None and any(is_same(d, release) for d in due if d)

    def _leaves(self, change: Change) -> bool:
        """Return whether *change* goes back already from what runs."""
        agent = self._agent
        if change.cancelled or _goes_back(change):
            return not change.cancelled
        new = agent.key(change.attempt.target)
        old = agent.key(_running(agent.state) or "")
        return agent.state.is_stopgap and bool(new and old and new < old)

    async def _left_already(self, version: str | None) -> str:
        """
        Return what to answer where dewy itself has just gone back; else "".

        Whoever says `rollback` then means the release that was left. Said again, it
        goes further: by then they know.
        """
        agent, probation = self._agent, self._agent.probation
        if version not in (None, _running(agent.state)):
            return ""
        if (back := probation.put_back) and not back.over.is_set():
            agent.changes.publish(f"{back.left} is being left, for it {back.reason}")
        back = await probation.decided()
        if back is None:
            return ""
        alive = await agent.deployer.alive()
        since = agent.clock.monotonic() - back.at
        if since > (UNNOTICED if alive else STARTING):
            return ""
        probation.acknowledge()
        return (
            f"{back.left} was left already, for it {back.reason}; "
            f"{_running(agent.state)} {'runs' if alive else 'is being started'}; "
            "`dewy rollback` again goes further back"
        )

    async def _ask_for(self, version: str | None) -> Release:
        """
        Return the release to deploy, unless a verb said meanwhile calls that off.

        Raises:
            Cancelled: one has.
        """
        name = f"search for {version or 'the newest release'}"
        asking = asyncio.create_task(self._release(version), name=name)
        self._asking.add(asking)
        try:
            return await asking
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            ours = asking not in self._asking
            raise Cancelled(self._called_off if ours else CUT_OFF) from None
        finally:
            self._asking.discard(asking)

    def _call_off(self, why: str) -> bool:
        """
        Call off the deployments that still ask the registry; whether there were any.
        """
        asking, self._asking, self._called_off = self._asking, set(), why
        for task in asking:
            task.cancel()
        return bool(asking)

    async def _release(self, version: str | None) -> Release:
        agent = self._agent
        release = await agent.look(version)
        if release is None:
            raise DewyError(f"nothing to deploy yet: {agent.status_reason}")
        self._refuse_kept_out(release, version)
        return release

    def _refuse_kept_out(self, release: Release, version: str | None) -> None:
        """Deploy a version in quarantine only if it was named."""
        quarantine = self._agent.state.quarantine
        entry = quarantine.find(release.tag, release.identity)
        if version is None and entry:
            raise DewyError(quarantined(entry))

    async def _join(self, change: Change, progress: Progress) -> str:
        """Wait for a change that does what was asked for."""
        progress(f"{change.attempt.progress or change.attempt.step} already")
        await change.finished()
        if change.failure is not None:
            raise DewyError(summary(change.failure)) from change.failure
        return _what_runs(self._agent.state)

    async def _preempt(self, change: Change, why: str, progress: Progress) -> None:
        progress(f"cancelling the {_noun(change)} {change.attempt.target}")
        await self._agent.changes.cancel(why)

    async def _keep_out(self, release: Release) -> None:
        agent = self._agent
        await agent.state_store.condemn(
            *(release.tag, release.identity, verbs.BY_OPERATOR, agent.clock),
            traffic=True,
            by="operator",
        )

    async def _go_back(self, version: str | None) -> str:
        agent = self._agent
        if said := await self._left_already(version):
            return said
        before = agent.state
        missing = await self._missing(before, version)
        while agent.changes.current or agent.state.running != before.running:
            # A change goes on, or has taken over while the disk was asked. What
            # cannot be done cancels nothing.
            if said := await self._left_already(version):
                return said
            verbs.rollback(agent.state, version, agent.clock, missing)
            await agent.changes.cancel(verbs.BY_OPERATOR)
            await agent.changes.settled()
            before = agent.state
            missing = await self._missing(before, version)
        after, message = verbs.rollback(before, version, agent.clock, missing)
        self._call_off(verbs.BY_OPERATOR)
        target = after.running
        assert target is not None
        if target == before.running:
            return await self._stay(message)
        attempt = agent.attempt(target.name, "rollback", verbs.BY_OPERATOR)
        change = Change(attempt, hold=after.hold and not before.hold)
        work = partial(self._activate, before, after, target)
        await agent.changes.run(change, work, preempt=verbs.BY_OPERATOR)
        agent.deployment_log.tell(NoticeKind.IMPORTANT, message)
        return message

    async def _stay(self, message: str) -> str:
        """Go on with what runs in place of a release whose files are gone."""
        agent = self._agent
        await agent.state_store.note(partial(verbs.stay, clock=agent.clock))
        agent.stay()
        agent.deployment_log.tell(NoticeKind.IMPORTANT, message)
        return message

    async def _missing(self, state: State, version: str | None) -> list[Installed]:
        """Return the kept releases that are not to be gone back to."""
        gone = [each for each in state.installed if await self._is_gone(each)]
        if version:
            return gone
        best = list(state.candidates(gone))
        here = await asyncio.gather(*map(self._agent.deployer.at_hand, best))
        away = [each for each, is_here in zip(best, here, strict=True) if not is_here]
        return verbs.to_pass_over(state, gone, away)

    async def _is_gone(self, release: Installed) -> bool:
        """Return whether the files of *release* are known to be gone."""
        try:
            return not await self._agent.release_store.has(release)
        except OSError:
            # The disk does not tell: to go there tells more.
            return False

    async def _activate(
        self, before: State, after: State, target: Installed, change: Change
    ) -> None:
        agent, attempt = self._agent, change.attempt
        attempt.reach("start")
        # The version left goes into quarantine first: a dewy killed from here on must
        # not bring it back by itself.
        # A disk that refuses that does not keep a bad version in its place.
        try:
            await agent.state_store.note(_requarantine(before, after))
            await agent.activate(target, change)
        except (asyncio.CancelledError, Cancelled):
            await self._not_left(before, after, change)
            raise
        except Exception as exc:
            change.fail(exc)
            # A cancellation that comes now must not leave what runs in quarantine.
            await completed(self._not_left(before, after, change))
            raise
        attempt.reach(DONE)
        await agent.went_back(attempt, target, verbs.BY_OPERATOR)

    async def _not_left(self, before: State, after: State, change: Change) -> None:
        """Take the version that stays out of quarantine again, and record why."""
        agent, attempt = self._agent, change.attempt
        await agent.state_store.note(_requarantine(after, before))
        if change.error:
            await agent.deployment_log.failed(attempt, change.error)
        else:
            await agent.deployment_log.cancelled(attempt, change.cancelled or CUT_OFF)


def _requarantine(old: State, new: State) -> Transition:
    """Apply the difference between the two; the state may have moved on meanwhile."""
    return lambda state: replace(
        state, quarantine=state.quarantine.moved(old.quarantine, new.quarantine)
    )


def _is_of(change: Change, release: Release) -> bool:
    return change.release is not None and (
        (change.release.tag, change.release.identity) == (release.tag, release.identity)
    )


def _is_forbidden(change: Change, state: State) -> bool:
    """Return whether the hold in *state* keeps *change* from taking over."""
    release = change.release
    if release is None:
        return False
    try:
        refuse_held(state, Installed(release.tag, release.identity, "", 0.0))
    except NotYet:
        return True
    return False


def _goes_back(change: Change) -> bool:
    return change.attempt.action == "rollback"


def _noun(change: Change) -> str:
    return "rollback to" if _goes_back(change) else "deployment of"


def _running(state: State) -> str | None:
    return state.running.name if state.running else None


def _what_runs(state: State) -> str:
    return f"{state.running.name} runs" if state.running else "nothing is deployed"


def _not_deployed(release: Release, state: State) -> str:
    runs = (
        f"{state.running.name} keeps running"
        if state.running
        else "nothing is deployed"
    )
    return (
        f"{release.tag} was not deployed and stays out until "
        f"`dewy retry {release.tag}`; {runs}"
    )
