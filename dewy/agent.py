"""
The agent, which polls the registry, decides, and deploys releases.

`Agent.deploy` is the whole life of a deployment, one `await` an arrow. A failure leaves
the running release in place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from .config import Reloadable, Settings
from .deploy import plan, verbs
from .deploy.candidates import Absence, Found, ask, ask_for
from .deploy.changes import CUT_OFF, DONE, Attempt, Busy, Cancelled, Change, ChangeSlot
from .deploy.deployer import Deployer
from .deploy.deployment_log import DeploymentLog
from .deploy.hooks import DeployHooks
from .deploy.plan import Action, decides_alike, is_same, refuse_held
from .deploy.probation import Probation
from .deploy.quarantine import is_verdict
from .deploy.release_store import ReleaseStore
from .deploy.state import Installed, State
from .deploy.state_store import StateStore
from .errors import DeploymentError, DewyError, NoRelease, NotYet
from .follow_up import FollowUp, Tidier, in_time
from .histogram import LOOK_BOUNDS, Histogram
from .logs import detail_of, detailed, summary
from .notifiers import NoticeKind
from .registries import Registry
from .release import Refusal, Release
from .release_watch import ReleaseWatch
from .system import Clock, completed, is_cancelled
from .versions import Key, precedence

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Agent:
    """
    Agent that deploys releases, with the outcome of the last poll.

    Attributes:
        reloadable: The settings in use.

        announce: Tells the service manager in one line what runs.

        changes: The change of version under way: a poll's, or an operator's.

        watch: Cancels a poll's deployment in favour of a newer release.

        newest: The newest release this host can have, as last seen.

        passed_over: The versions newer than what was chosen last, and why.

        key: The precedence of a version's name, as the last list had it.

        absence: Check that the registry no longer offers the running version.

        status_reason: The outcome of the last poll, for `status`.

        settles_in: Seconds until the release that the last poll waits for may be
            published; None if there is no such release.

        looks: Seconds that the registry took to answer.
    """

    reloadable: Reloadable[Settings]
    clock: Clock
    state_store: StateStore
    release_store: ReleaseStore
    registry: Registry
    deployer: Deployer
    deployment_log: DeploymentLog
    hooks: DeployHooks
    probation: Probation
    announce: Callable[[str], None]
    changes: ChangeSlot = field(default_factory=ChangeSlot)
    newest: Release | None = None
    passed_over: tuple[Refusal, ...] = ()
    key: Callable[[str], Key | None] = precedence
    absence: Absence = field(default_factory=Absence)
    status_reason: str = "has not polled yet"
    settles_in: float | None = None
    looks: Histogram = field(default_factory=lambda: Histogram(LOOK_BOUNDS))
    watch: ReleaseWatch = field(init=False)
    tidier: Tidier = field(init=False)
    follow_up: FollowUp = field(init=False)

    def __post_init__(self) -> None:
        self.watch = ReleaseWatch(
            lambda: self.settings.interval,
            self.changes,
            lambda: self._find(self.state),
        )
        self.tidier = Tidier(self.changes, self.state_store, self.release_store)
        self.follow_up = FollowUp(
            self.settings,
            self.state_store,
            self.registry,
            self.deployment_log,
            self.hooks,
            self.tidier,
            self.announce,
        )

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self.reloadable.current

    @property
    def state(self) -> State:
        return self.state_store.state

    def describe(self) -> str:
        """Describe what runs in one line."""
        running = self.state.running
        return f"{running.name} runs" if running else "nothing is deployed yet"

    def stay(self) -> None:
        """Show what runs as the outcome: that of the last look is out of date."""
        self.status_reason = self.describe()

    async def tick(self) -> None:
        """
        Poll the registry once and act on its answer; follow-ups run in their own tasks.

        Raises:
            NotYet: the pending change has to wait; `status_reason` says why.
            Exception: the change failed; the running release goes on.
        """
        await self.state_store.flush()
        await self.probation.look(self.deployer)
        self.settles_in = None
        try:
            await self._look_and_act()
        except NotYet as exc:
            self.status_reason = str(exc)
            raise
        except Busy:
            pass  # `status` shows the change under way, and only as long as it is
        except Cancelled as exc:
            self.status_reason = str(exc)

    async def look(self, tag: str | None = None) -> Release | None:
        """
        Return the newest release in the registry; None while one is being published.

        Raises:
            NoRelease: the registry holds no release, and none is being published.
            RemoteError: the registry did not answer.
        """
        now, grace = self.clock.wall(), self.settings.grace_period
        if tag is None:
            # Asked for, so that a rollback keeps nothing out any more.
            found = await self._find(replace(self.state, back_at=0.0))
        else:
            async with in_time(self.looks):
                found = await ask_for(self.registry, tag, now, grace)
        if found.release is None:
            self.status_reason = found.decision.reason
            log.debug("Waited for release", extra={"why": self.status_reason})
        return found.release

    async def _find(self, state: State) -> Found:
        """Go through what the registry offers; raises as `look`."""
        now, grace = self.clock.wall(), self.settings.grace_period
        async with in_time(self.looks):
            return await ask(self.registry, state, self.absence, now, grace)

    async def deploy(self, release: Release, why: str = "", preempt: str = "") -> None:
        """
        Deploy *release*; *why* is the reason if it is not the newest.

        A non-empty *preempt* is the reason to cancel another change under way.

        Raises:
            NotYet: the artifact is being replaced at this moment, or an operator said
                `hold` meanwhile.
            Busy: another change of version is under way.
            Cancelled: an operator cancelled it.
            Exception: the deployment failed, and *release* is in quarantine; the
                running release goes on.
        """
        change = Change(self.attempt(release.tag, "deploy", why), release)
        await self.changes.run(change, self._deploy, preempt)

    async def _deploy(self, change: Change) -> None:
        attempt, release = change.attempt, change.release
        assert release is not None
        try:
            target = await self._bring_up(release, change)
        except NotYet:
            attempt.conclude()
            await self.tidier.tidy(change, cached=False)
            raise
        except Cancelled as exc:
            await self._cancelled(change, str(exc))
            raise
        except asyncio.CancelledError:
            if change.error:
                await self._failed(release, change, change.error)
            elif change.cancelled:
                await self._cancelled(change, change.cancelled)
            elif not is_cancelled():
                await self._failed(release, change, Cancelled(CUT_OFF))
            raise
        except Exception as exc:
            change.fail(exc)
            # A cancellation that comes now must not keep it out of the history.
            await completed(self._failed(release, change, exc))
            raise
        # The log says so when what comes after it is over, too.
        attempt.mark(DONE)
        await self.deployment_log.record(attempt, "deployed", attempt.why, more=True)
        previous = bool(attempt.previous)
        self.follow_up.deployed(
            change, target, release, lambda: self.deployer.achievement(previous)
        )

    async def _bring_up(self, release: Release, change: Change) -> Installed:
        attempt = change.attempt
        # `hold` and `rollback` cancel what is under way, and nothing that begins after.
        plan.refuse_start(self.state, release, self.clock.wall(), named=change.hold)
        attempt.reach("fetch")
        await self.tidier.finished()
        async with self.release_store.brought(release) as delivery:
            self.deployment_log.fetched(attempt)
            target = await delivery.reserve(self.clock.wall())
            attempt.reach("before-hook", idle=not self.settings.before_deploy_hook)
            await self.hooks.before(attempt, target)
            attempt.reach("unpack", idle=self.settings.images)
            await delivery.install(target)
        attempt.reach("start")
        await self.activate(target, change)
        return target

    async def _cancelled(self, change: Change, reason: str) -> None:
        await self.tidier.tidy(change, cached=False)
        await self.deployment_log.cancelled(change.attempt, reason)

    async def deploy_wanted(
        self, release: Release, preempt: str = "", *, named: bool
    ) -> str:
        """
        Deploy a version that an operator requested; return the answer for the operator.

        If it was *named* and is not the newest, the root is held at it: the next
        poll would undo it otherwise.

        Raises:
            DewyError, OSError: the same as for `deploy`.
        """
        try:
            await self._bring_wanted(release, preempt, named)
        except asyncio.CancelledError:
            if named and self._runs(release):
                self._settling(release)
            raise
        if not named:
            return f"{release.tag} runs"
        return await asyncio.shield(self._settling(release))

    async def _bring_wanted(self, release: Release, preempt: str, hold: bool) -> None:
        if self._runs(release) and await self.deployer.alive():
            await self.state_store.note(lambda state: verbs.confirm(state, hold=hold))
            return
        # Held from its commit on: no poll may undo it before that is decided.
        attempt = self.attempt(release.tag, "deploy", verbs.ASKED_FOR)
        change = Change(attempt, release, hold=hold)
        await self.changes.run(change, self._deploy, preempt)

    def _runs(self, release: Release) -> bool:
        running = self.state.running
        return running is not None and is_same(running, release)

    def _settling(self, release: Release) -> asyncio.Task[str]:
        # In a task of its own: it is settled also if whoever asked leaves now.
        name = f"hold at {release.tag}"
        return self.follow_up.own(self._settle_hold(release), name)

    async def _settle_hold(self, release: Release) -> str:
        try:
            newest = await self.look()
            why = plan.undone_by(newest, release, self.key)
            why = why if newest else self.status_reason
        except (DewyError, OSError) as exc:
            why = f"the registry does not say which release is newest: {summary(exc)}"
        await self._settle(release.tag, newest=not why)
        if not self._runs(release):
            raise DewyError(f"{release.tag} was left again: {self.describe()}")
        if not self.state.hold:
            return f"{release.tag} runs"
        return f"{release.tag} runs and is held{why and f', for {why}'}"

    async def _settle(self, tag: str, *, newest: bool) -> None:
        """Decide on a hold at *tag* that is dewy's own."""
        if self.state.provisional:
            settling = partial(verbs.settle, tag=tag, newest=newest)
            await self.state_store.note(settling)

    async def went_back(self, attempt: Attempt, target: Installed, why: str) -> None:
        """Record that *target*, a kept release, runs again, and follow it up."""
        self.announce(self.describe())
        await self.deployment_log.record(attempt, "deployed", why, more=True)
        self.follow_up.went_back(attempt, target)

    async def judge(self, how: str, tail: tuple[str, ...], verb: str = "died") -> bool:
        """
        Judge that the running release *verb* (`died`, `failed`), for the reason *how*.

        Return whether the previous release replaces it. The last lines of output are in
        *tail*.
        """
        bad = self.state.running
        moved = await self.probation.verdict(how, tail, self.deployer, verb)
        back = self.state.running
        self.announce(self.describe())
        if moved and bad and back:
            self.stay()
            begun = self.clock.monotonic()
            attempt = Attempt(back.name, bad.name, "rollback", begun, why=how)
            self.follow_up.went_back(attempt, back)
        elif bad and verb == "died":
            await self.deployment_log.died(bad.name, how, tail)
        return moved

    async def activate(self, target: Installed, change: Change) -> None:
        """
        Let *target* take over, recording each step before it is relied on.

        Raises:
            NotYet: an operator said `hold` meanwhile.
            Cancelled: an operator cancelled *change*.
            DewyError, OSError: *target* did not take over; the old release goes on.
        """
        attempt, store = change.attempt, self.state_store
        # A release that is left is bad: a full disk must not keep it in its place.
        write = store.change if attempt.action == "deploy" else store.note
        await self.probation.look(self.deployer)
        async with self.deployer.switch(target, attempt.note) as switch:
            try:
                await switch.serve()
                await write(partial(self._committed, target, change))
                self._took_over(target, attempt)
            except (NotYet, Cancelled):
                raise
            except Exception as exc:
                change.revert(exc)
                if attempt.action == "deploy":
                    # Written first: a dewy killed from here on does not try again.
                    keeping_out = self._quarantine(target.tag, target.identity, exc)
                    await completed(keeping_out)
                raise

    def _committed(self, target: Installed, change: Change, state: State) -> State:
        """Return *state* with *target* running; from here on nothing is cancelled."""
        attempt, deploys = change.attempt, change.attempt.action == "deploy"
        if deploys:
            refuse_held(state, target, named=change.hold)
        change.commit()
        held = verbs.provisionally_held(state) if change.hold else state
        back_at = 0.0 if deploys else self.clock.wall()
        return replace(
            held.deployed(target, self.settings.keep, back_at),
            quarantine=state.quarantine.succeeded(target.tag, target.identity),
            wanted="",
            because=attempt.why or verbs.NEWEST,
            provisional=held.provisional and deploys,
        )

    def _took_over(self, target: Installed, attempt: Attempt) -> None:
        if attempt.action == "rollback":
            self.probation.end()
        else:
            self.probation.begin(target, attempt.id, attempt.previous)
        self.stay()

    def attempt(self, target: str, action: str, why: str) -> Attempt:
        """Return the record of a change of version to *target* that begins now."""
        running = self.state.running
        previous = running.name if running else ""
        begun, publish = self.clock.monotonic(), self.changes.publish
        return Attempt(target, previous, action, begun, why=why, listener=publish)

    async def _look_and_act(self) -> None:
        if self.state.wanted and (self.state.provisional or not self.state.hold):
            return await self._deploy_remembered(self.state.wanted)
        state = self.state
        found = await self._find(state)
        await self.changes.settled()
        if self.changes.current is not None:
            raise Busy(f"{self.changes.current.attempt.target} is being deployed")
        if not decides_alike(state, self.state):
            return await self._look_and_act()
        self._note(found)
        runs = found.decision.action is Action.SKIP
        if found.release and self.state.running:
            # A dewy that ended before it had asked left the hold undecided.
            await self._settle(self.state.running.tag, newest=runs)
        await self._forget_absent(found)
        if found.decision.action is Action.DEPLOY and found.release:
            # It gives way to whatever turns out to be newer meanwhile.
            deploying = self.deploy(found.release, found.why)
            if await self.watch.superseded(found.release, deploying):
                await self._look_and_act()
            return
        await self._heal(found.release if runs else None)

    async def _forget_absent(self, found: Found) -> None:
        """Drop timed quarantine entries of versions the registry has not any more."""
        if (listed := found.candidates) and listed.names is not None:
            await self.state_store.saw(listed.names, listed.complete, self.clock.wall())

    def _note(self, found: Found) -> None:
        """Remember what the look led to, and log what is new about it."""
        known, self.status_reason = self.status_reason, found.decision.reason
        self.settles_in = found.decision.settles_in
        passed, self.passed_over = self.passed_over, found.passed_over
        self.newest = found.newest or self.newest
        if found.candidates and found.candidates.names is not None:
            self.key = found.candidates.key
        for each in found.passed_over:
            if each not in passed:
                fields = {"tag": each.name, "why": each.reason}
                log.warning("Version passed over", extra=fields)
        if found.passed_over and found.passed_over[:1] != passed[:1]:
            newest = found.passed_over[0]
            text = f"{newest.name} is passed over: {newest.reason}"
            self.deployment_log.tell(NoticeKind.ORDINARY, text)
        if found.decision.action is not Action.DEPLOY:
            level = logging.DEBUG if self.status_reason == known else logging.INFO
            log.log(level, "Deploy skipped", extra={"why": self.status_reason})

    async def _deploy_remembered(self, tag: str) -> None:
        """Deploy what an operator asked for while no dewy ran."""
        try:
            release = await self.look(tag)
        except NoRelease:
            await self.state_store.note(lambda state: replace(state, wanted=""))
            raise
        if release is not None and self.state.wanted == tag:
            await self.deploy_wanted(release, named=True)

    async def _heal(self, release: Release | None) -> None:
        """Make good what somebody did to what runs, which is *release* if newest."""
        running, gone = self.state.running, self.state.gone
        if gone and release:
            # What runs in its place is the newest release by now.
            await self.state_store.note(lambda state: replace(state, gone=None))
        elif gone and gone.tag:
            return await self._fetch_again(await self.look(gone.tag))
        if running is None or not (release or running.tag):
            return
        if not await self.release_store.has(running):
            return await self._fetch_again(release or await self.look(running.tag))
        if release and self.state.running == running:
            await self.deployer.heal(running)
        # A verb may have changed it meanwhile; the next look heals that.
        if release and self.state.running == running and not running.identity:
            known = replace(running, identity=release.identity)
            await self.state_store.note(lambda state: state.renamed(running, known))

    async def _fetch_again(self, release: Release | None) -> None:
        if release is None or not self.state.is_due(release.tag):
            return
        plan.refuse_start(self.state, release, self.clock.wall(), named=False)
        log.error("Release is gone from this host", extra={"tag": release.tag})
        await self.deploy(release)

    async def _failed(self, release: Release, change: Change, exc: Exception) -> None:
        attempt = change.attempt
        if attempt.step != "start":
            await self._quarantine(release.tag, release.identity, exc)
        await self.tidier.tidy(change, cached=False)
        news = await self.deployment_log.failed(attempt, exc)
        self.announce(f"{self.describe()}; {release.tag} failed at {attempt.step}")
        if not news:
            return
        tail = exc.log_tail if isinstance(exc, DeploymentError) else ()
        stays = f"; {attempt.previous} keeps running" if attempt.previous else ""
        text = f"{release.tag} failed at {attempt.step}: {detailed(exc)}{stays}"
        self.deployment_log.tell(
            NoticeKind.ERROR, text, ("log", "\n".join(tail)), about=exc
        )

    async def _quarantine(self, tag: str, identity: str, why: Exception) -> None:
        if is_verdict(why):
            await self.state_store.condemn(
                *(tag, identity, summary(why), self.clock),
                traffic=False,
                detail=detail_of(why),
            )
