"""
The agent: it asks the registry, decides, and brings releases up.

`Agent.deploy` is the whole life of a deployment, one `await` an arrow. Whatever
fails in it leaves the running release where it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

from .config import Settings
from .deploy.around import DeployHooks
from .deploy.attempt import Attempt, Probation
from .deploy.chronicle import Chronicle
from .deploy.deployer import Deployer
from .deploy.fetch import Fetcher
from .deploy.ledger import Ledger
from .deploy.plan import Action, plan, quarantined
from .deploy.releases import Releases
from .deploy.state import Installed, State
from .errors import DeploymentError, DewyError, NoRelease, NotYet
from .notifiers import Kind
from .registries import Registry
from .release import Deployment, Release
from .system import Clock, hostname, utc

log = logging.getLogger(__name__)

REGISTRY_DEADLINE = 120.0


@dataclass(slots=True)
class Agent:
    """
    Everything one deployment needs, and what came of the last look.

    Attributes:
        busy: Held by whoever changes the version: a tick, or an operator.

        newest: What the registry named last.

        standing: What the last look led to, for `status`.
    """

    settings: Settings
    clock: Clock
    ledger: Ledger
    releases: Releases
    fetcher: Fetcher
    registry: Registry
    deployer: Deployer
    chronicle: Chronicle
    hooks: DeployHooks
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    probation: Probation | None = None
    newest: Release | None = None
    standing: str = "has not looked yet"

    @property
    def state(self) -> State:
        return self.ledger.state

    async def tick(self) -> None:
        """
        Look at the registry once, and act.

        Raises:
            DewyError, OSError: it failed; the running release serves on.
        """
        async with self.busy:
            release = await self.look(self.state.wanted or None)
            if release is None:
                return
            if self.state.wanted:
                await self.deploy_wanted(release)
                return
            self.newest = release
            decided = plan(self.state, release, self.clock.wall())
            self.standing = decided.reason
            if decided.action is Action.DEPLOY:
                return await self.deploy(release)
            log.debug("Deploy skipped", extra={"why": decided.reason})
            if decided.action is Action.SKIP:
                await self._recognise(release)

    async def look(self, tag: str | None = None) -> Release | None:
        """
        Ask the registry; None while a release is on its way.

        Raises:
            NoRelease: it has none, and none is to be expected.
            RemoteError: it did not answer.
        """
        try:
            async with asyncio.timeout(REGISTRY_DEADLINE):
                return await self.registry.current(tag)
        except TimeoutError:
            raise DewyError(f"no answer within {REGISTRY_DEADLINE:g} s") from None
        except NotYet as exc:
            self.standing = str(exc)
        except NoRelease as exc:
            if not self._in_grace(exc):
                raise
            self.standing = f"{exc}; it may still be on its way"
        log.debug("Waited for release", extra={"why": self.standing})
        return None

    async def deploy(self, release: Release) -> None:
        """
        Bring *release* up. Called with `busy` held.

        Raises:
            NotYet: its artifact is being replaced at this moment.
            DewyError, OSError: it failed and is in quarantine; what ran still runs.
        """
        attempt = self.attempt(release.tag, "deploy")
        log.info("Deployment started", extra={"tag": release.tag})
        target: Installed | None = None
        try:
            async with self.fetcher.staged(release) as artifact:
                target = await self._reserve(release)
                attempt.step = "before-hook"
                await self.hooks.before(attempt, target)
                attempt.step = "unpack"
                await self.releases.unpack(artifact, release.file, target.directory)
            attempt.step = "start"
            await self.activate(target, attempt)
        except NotYet:
            raise
        except (DewyError, OSError) as exc:
            await self._failed(release, attempt, exc)
            raise
        attempt.step = "done"
        await self.hooks.after(attempt, target)
        await self._report(release)
        await self._finish(attempt)

    async def deploy_wanted(self, release: Release) -> str:
        """
        Bring up the version an operator named; what to tell them.

        If it is not the newest, the root is held at it: the next look would
        undo it otherwise.

        Raises:
            DewyError, OSError: as `deploy`.
        """
        await self.deploy(release)
        newest = await self.look()
        if newest is None or newest.tag == release.tag:
            return f"deployed {release.tag}"
        await self.ledger.change(lambda state: replace(state, hold=True))
        return f"deployed {release.tag} and held it, for {newest.tag} is newer"

    def refuse_quarantined(self, release: Release) -> None:
        """
        Raises:
            DewyError: *release* failed, and nobody said to try it again.
        """
        entry = self.state.quarantine.find(release.tag, release.identity)
        if entry is not None:
            raise DewyError(quarantined(entry))

    async def activate(self, target: Installed, attempt: Attempt) -> None:
        """
        Let *target* take over, recording each step before it is relied on.

        Raises:
            DewyError, OSError: it did not; what ran still runs.
        """

        async def commit() -> None:
            await self.ledger.change(
                lambda state: replace(
                    state.deployed(target, self.settings.keep),
                    quarantine=state.quarantine.succeeded(target.tag, target.identity),
                    wanted="",
                )
            )
            until = self.clock.monotonic() + self.settings.probation
            self.probation = Probation(target, until)

        async def abandon(reason: BaseException) -> None:
            if attempt.action == "deploy" and isinstance(reason, DewyError | OSError):
                await self._quarantine(target.tag, target.identity, str(reason))

        await self.deployer.activate(target, commit, abandon)

    async def died(self, how: str, tail: tuple[str, ...]) -> bool:
        """
        Answer the death of the serving generation: True if another release is in
        its place now. Within probation it is a verdict: back to the previous one.
        """
        probation, self.probation = self.probation, None
        back = self.state.previous
        if not (probation and back and self.settings.rollback):
            return False
        bad, now = probation.release, self.clock.monotonic()
        if now > probation.until or self.state.running != bad:
            return False
        reason = f"{bad.name} died within probation ({how})"
        await self._quarantine(bad.tag, bad.identity, reason, traffic=True)
        await self.ledger.note(lambda state: replace(state, running=back))
        await self.releases.switch(back.directory)
        log.error("Rolled back", extra={"to": back.name, "error": reason})
        begun = probation.until - self.settings.probation
        attempt = Attempt(bad.name, back.name, "deploy", begun, "probation")
        await self.chronicle.record(attempt, "rolled back", reason, tail)
        self.chronicle.tell(Kind.ERROR, f"{reason}; back to {back.name}")
        return True

    def attempt(self, target: str, action: str) -> Attempt:
        """The beginning of a change of version to *target*."""
        running = self.state.running
        previous = running.name if running else ""
        return Attempt(target, previous, action, self.clock.monotonic())

    def _in_grace(self, missing: NoRelease) -> bool:
        if missing.since is None:
            return False
        age = self.clock.wall() - missing.since.timestamp()
        return age < self.settings.grace_period

    async def _recognise(self, release: Release) -> None:
        """Learn what bytes a release is made of that the original deployed."""
        running = self.state.running
        if running is None or running.identity == release.identity:
            return
        known = replace(running, identity=release.identity)
        await self.ledger.change(lambda state: state.renamed(running, known))

    async def _reserve(self, release: Release) -> Installed:
        now = self.clock.wall()
        directory = await self.releases.reserve(utc(now))
        return Installed(release.tag, release.identity, directory, now)

    async def _failed(
        self, release: Release, attempt: Attempt, exc: DewyError | OSError
    ) -> None:
        if attempt.step != "start":
            await self._quarantine(release.tag, release.identity, str(exc))
        await self._prune()
        tail = exc.log_tail if isinstance(exc, DeploymentError) else ()
        await self.chronicle.record(attempt, "failed", str(exc), tail)
        stays = f"; {attempt.previous} runs on" if attempt.previous else ""
        text = f"{release.tag} failed at {attempt.step}: {exc}{stays}"
        self.chronicle.tell(Kind.ERROR, text, ("log", "\n".join(tail)))

    async def _quarantine(
        self, tag: str, identity: str, reason: str, *, traffic: bool = False
    ) -> None:
        await self.ledger.note(
            lambda state: replace(
                state,
                wanted="" if state.wanted == tag else state.wanted,
                quarantine=state.quarantine.add(
                    tag, identity, reason, self.clock, traffic=traffic
                ),
            )
        )

    async def _report(self, release: Release) -> None:
        now = time.time_ns()
        at, nanoseconds = utc(now // 10**9), now % 10**9
        command = self.settings.command
        deployment = Deployment(release, command, at, nanoseconds, hostname())
        try:
            async with asyncio.timeout(REGISTRY_DEADLINE):
                await self.registry.report(deployment)
        except (DewyError, OSError) as exc:
            log.warning("Deployment not reported", extra={"error": str(exc)})

    async def _finish(self, attempt: Attempt) -> None:
        await self._prune()
        await self.fetcher.retain(kept.tag for kept in self.state.installed)
        await self.chronicle.record(attempt, "deployed")
        log.info("Deployed", extra={"tag": attempt.target, "from": attempt.previous})
        what = "Server restarted" if attempt.previous else "Server started"
        if self.settings.command == "assets":
            what = "Files switched"
        self.chronicle.tell(Kind.IMPORTANT, f"{what} for {attempt.target}")

    async def _prune(self) -> None:
        keep = {installed.directory for installed in self.state.installed}
        with suppress(OSError):
            await self.releases.prune(keep)
