"""Operations on a running dewy: hold, abort, deploy and roll back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from .agent import Agent
from .changes import Cancelled, Change, Progress
from .deploy import verbs
from .deploy.attempt import DONE
from .deploy.plan import quarantined, refuse_held
from .deploy.state import Installed, State
from .deploy.state_store import Transition
from .errors import DewyError, NotYet
from .logs import summary
from .notifiers import Kind
from .release import Release
from .system import completed

__all__ = ["Operations"]


class Operations:
    """
    Carry out verbs that change the version, at once.

    A change that has not committed is cancelled first; each method returns the
    sentence for the operator, which says only what is true by then. *progress* is
    told each step in between.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def hold(self) -> str:
        """Stop changes of version, the one under way included."""
        agent = self._agent
        # From here on nothing commits; then whatever is under way is cancelled.
        await agent.state_store.note(lambda state: verbs.hold(state)[0])
        pending = agent.changes.pending
        if pending is None or not _is_forbidden(pending, agent.state):
            if pending is not None and _goes_back(pending):
                # A rollback works under hold; the answer waits for what came of it.
                await pending.finished()
            await agent.changes.settled()
            return verbs.hold(agent.state)[1]
        await agent.changes.cancel("held by operator")
        end = "had failed" if pending.error else "was cancelled"
        target = pending.attempt.target
        return f"{verbs.hold(agent.state)[1]}; the deployment of {target} {end}"

    async def abort(self) -> str:
        """
        Cancel the change under way.

        Raises:
            DewyError: no change is under way, or the change has committed.
        """
        agent = self._agent
        current = agent.changes.current
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
                failed; what ran runs on.
        """
        agent = self._agent
        with agent.changes.listening(progress):
            verbs.deploy(agent.state, version)
            progress("asking the registry")
            release = await self._release(version)
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

        Where a deployment has not committed, going back is to cancel it: it goes
        into quarantine, and what runs stays.

        Raises:
            DewyError, OSError: the release does not exist, or the rollback failed.
        """
        agent = self._agent
        with agent.changes.listening(progress):
            await agent.changes.settled()
            pending = agent.changes.pending
            if pending is not None:
                joins = _goes_back(pending) and not pending.cancelled
                if joins and version in (None, pending.attempt.target):
                    return await self._join(pending, progress)
                # Cancelled first, then kept out, then undone: nothing commits in
                # between, and no poll brings it back.
                pending.cancel(verbs.BY_OPERATOR)
                if pending.release is not None:
                    await self._keep_out(pending.release)
                await self._preempt(pending, verbs.BY_OPERATOR, progress)
                if pending.release and version in (None, _running(agent.state)):
                    return _not_deployed(pending.release, agent.state)
            return await self._go_back(version)

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
        before = agent.state
        missing = await self._missing(before)
        while agent.changes.current or agent.state.running != before.running:
            # A change has begun, or taken over, while the disk was asked.
            await agent.changes.cancel(verbs.BY_OPERATOR)
            await agent.changes.settled()
            before = agent.state
            missing = await self._missing(before)
        after, message = verbs.rollback(before, version, agent.clock, missing)
        target = after.running
        assert target is not None
        attempt = agent.attempt(target.name, "rollback", verbs.BY_OPERATOR)
        change = Change(attempt, hold=after.hold and not before.hold)

        async def work(change: Change) -> None:
            await self._activate(before, after, target, change)

        await agent.changes.run(change, work, preempt=verbs.BY_OPERATOR)
        agent.deployment_log.tell(Kind.IMPORTANT, message)
        return message

    async def _missing(self, state: State) -> list[Installed]:
        """Return the kept releases whose files are gone."""
        has = self._agent.release_store.has
        return [each for each in state.installed if not await has(each)]

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
            await agent.deployment_log.record(attempt, "cancelled", change.cancelled)


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
    runs = f"{state.running.name} runs on" if state.running else "nothing is deployed"
    return (
        f"{release.tag} was not deployed and stays out until "
        f"`dewy retry {release.tag}`; {runs}"
    )
