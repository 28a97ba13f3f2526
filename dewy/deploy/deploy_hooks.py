"""The operator's hooks, as steps round a deployment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..config import Settings
from ..errors import HookFailed, last_words
from ..notifiers import Hook, NoticeKind
from ..notifiers.format import tail
from .attempt import Attempt
from .deployment_log import DeploymentLog
from .hooks import HookKind, HookResult, run
from .release_store import ReleaseStore
from .state import Installed

log = logging.getLogger(__name__)

LINES = 20
PENDING, DEPLOYED, ROLLED_BACK = "pending", "deployed", "rolled-back"


class DeployHooks:
    """
    Run the hooks, and report how they ended.

    An after-hook only follows a deployment, so it holds up no other: the next one's
    before-hook runs beside it. After-hooks wait for each other, in order.
    """

    def __init__(
        self,
        settings: Settings,
        release_store: ReleaseStore,
        deployment_log: DeploymentLog,
    ) -> None:
        self.settings = settings
        self._release_store = release_store
        self._deployment_log = deployment_log
        self._after_turn = asyncio.Lock()

    async def before(self, attempt: Attempt, target: Installed) -> None:
        """
        Raises:
            HookFailed: the hook failed, which ends the deployment.
        """
        command = self.settings.before_deploy_hook
        result = await self._run(HookKind.BEFORE, command, attempt, target, PENDING)
        if result and not result.success:
            raise HookFailed(
                f"the before-deploy hook failed: {result.reason}",
                log_tail=_output(result),
                detail=_story(result),
                host=not result.ran,
            )

    async def after(
        self,
        attempt: Attempt,
        target: Installed,
        outcome: str = DEPLOYED,
        *,
        runs: Callable[[Installed], bool] = lambda target: True,
    ) -> None:
        """
        Run the after-hook; its failure is recorded and told, and changes nothing.

        It is left out where *target* no longer *runs* when its turn comes.
        """
        if not (command := self.settings.after_deploy_hook):
            return
        if self._after_turn.locked():
            attempt.note("waiting for an earlier after-hook to end")
        async with self._after_turn:
            if not runs(target):
                log.info("After-hook left out", extra=attempt.log_fields())
                return
            result = await self._run(HookKind.AFTER, command, attempt, target, outcome)
        if result and not result.success:
            await self._deployment_log.hook_failed(
                attempt,
                f"the after-deploy hook failed: {result.reason}",
                _output(result),
                detail=_story(result),
                seconds=result.duration,
            )

    async def _run(
        self,
        kind: HookKind,
        command: str,
        attempt: Attempt,
        target: Installed,
        outcome: str,
    ) -> HookResult | None:
        if not command:
            return None
        variables = {
            "DEWY_TAG": attempt.target,
            "DEWY_PREVIOUS_TAG": attempt.previous,
            **self._release_store.describe(target),
            "DEWY_OUTCOME": outcome,
        }
        result = await run(
            command,
            kind=kind,
            cwd=self.settings.root,
            variables=variables,
            timeout=self.settings.hook_timeout,
        )
        fate = "succeeded" if result.success else f"failed: {result.reason}"
        self._deployment_log.tell(
            NoticeKind.HOOK,
            f"{kind.value} hook {fate}",
            hook=_told(kind, result),
        )
        return result


def _output(result: HookResult) -> tuple[str, ...]:
    """Return the last lines of both streams."""
    streams = (result.stdout, result.stderr)
    return tuple(line for text in streams for line in text.splitlines()[-LINES:])


def _story(result: HookResult) -> str:
    """Return the command and its last line, which stay on this host."""
    return ": ".join(filter(None, (result.command, last_words(_output(result)))))


def _told(kind: HookKind, result: HookResult) -> Hook:
    return Hook(
        kind.value,
        result.command,
        result.success,
        result.exit_code,
        result.duration,
        tail(result.stdout),
        tail(result.stderr),
    )
