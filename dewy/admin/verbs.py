"""
The verbs of operators: of each its name, its help, and what carries it out.

`cli.verbs` has the command of each. Both halves are abstract, so that a verb that
lacks one cannot be made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ..errors import DewyError

if TYPE_CHECKING:
    from ..config import Settings
    from ..deploy.state import Installed, State
    from ..deploy.verbs import Outcome
    from ..operations import Operations
    from ..proxy.port import Pausing
    from ..system import Clock

__all__ = [
    "VERBS",
    "OfflineRoot",
    "Operation",
    "Request",
    "Steered",
    "Steering",
    "Verb",
]


@dataclass(frozen=True, slots=True)
class Request:
    """
    Arguments of a verb.

    Attributes:
        version: The version named; None for none.

        progress: Called with each step.

        seconds: How long a pause lasts; None for until `resume`.

        dry: Only say what would change.
    """

    version: str | None
    progress: Callable[[str], None]
    seconds: float | None = None
    dry: bool = False

    @classmethod
    def of(cls, args: Mapping[str, Any], progress: Callable[[str], None]) -> Request:
        """Return the request that the control socket received with *args*."""
        version, seconds = args.get("version") or None, args.get("seconds")
        return cls(version, progress, seconds, bool(args.get("dry")))


@dataclass(frozen=True, slots=True)
class OfflineRoot:
    """
    A root where no dewy runs.

    Attributes:
        away: Kept versions whose images are not on this host.
    """

    settings: Settings
    state: State
    clock: Clock
    away: Collection[Installed] = ()

    def missing(self) -> list[Installed]:
        """Return the kept releases whose files are gone; images are not looked for."""
        from ..deploy.releases import Releases

        releases = Releases(self.settings.root)
        return [
            each
            for each in self.state.installed
            if each.directory and not releases.path(each.directory).is_dir()
        ]


class Steered(Protocol):
    """A dewy that runs, with replicas or as a proxy."""

    @property
    def pausing(self) -> Pausing: ...

    @property
    def reload(self) -> Callable[[], Awaitable[str]]: ...

    @property
    def preview(self) -> Callable[[], Awaitable[str]]: ...


class Verb(ABC):
    """
    A command of an operator.

    Attributes:
        name: The word on the command line and in requests.

        help: One line on what it does.

        version: Whether it takes a VERSION; "" if not.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    version: ClassVar[Literal["", "optional", "required"]] = ""


class Operation(Verb):
    """
    A verb about the version, carried out whether a dewy runs in the root or not.

    Attributes:
        slow: It may take as long as a deployment, and tells its steps.

        wakes: The next poll follows at once.

        at_any_time: It is carried out while dewy stops, too.

        goes_back: It may leave the running version for a kept one.

        needs_registry: Without a registry it cannot be carried out offline.
    """

    slow: ClassVar[bool] = False
    wakes: ClassVar[bool] = False
    at_any_time: ClassVar[bool] = False
    goes_back: ClassVar[bool] = False
    needs_registry: ClassVar[bool] = False

    @abstractmethod
    async def online(self, operations: Operations, request: Request) -> str:
        """Have the dewy that runs carry it out; return the text for the operator."""

    @abstractmethod
    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        """Return the state that it leaves in *root*, and the text for the operator."""


class Steering(Verb):
    """
    A verb about connections or configuration, for a dewy that runs.

    Attributes:
        of_proxies: A dewy without a proxy leaves it to a `dewy proxy` in its root.
    """

    of_proxies: ClassVar[bool] = False

    @abstractmethod
    async def steer(self, dewy: Steered, request: Request) -> str:
        """Have *dewy* carry it out; return the text for the operator."""


class _Deploy(Operation):
    name = "deploy"
    help = "Deploy VERSION, or the newest release, now."
    version = "optional"
    slow = True
    needs_registry = True

    async def online(self, operations: Operations, request: Request) -> str:
        return await operations.deploy(request.version, request.progress)

    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        from ..deploy import verbs

        return verbs.deploy(root.state, version)


class _Rollback(Operation):
    name = "rollback"
    help = "Go back to VERSION, or to the previous release."
    version = "optional"
    slow = True
    goes_back = True

    async def online(self, operations: Operations, request: Request) -> str:
        return await operations.roll_back(request.version, request.progress)

    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        from ..deploy import verbs

        away = () if version else root.away
        missing = verbs.to_pass_over(root.state, root.missing(), away)
        return verbs.rollback(root.state, version, root.clock, missing)


class _Retry(Operation):
    name = "retry"
    help = "Take VERSION out of quarantine."
    version = "required"
    wakes = True
    at_any_time = True

    async def online(self, operations: Operations, request: Request) -> str:
        return await operations.retry(request.version or "")

    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        from ..deploy import verbs

        return verbs.retry(root.state, version or "")


class _Abort(Operation):
    name = "abort"
    help = "Cancel the deployment under way."
    slow = True

    async def online(self, operations: Operations, request: Request) -> str:
        return await operations.abort()

    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        raise DewyError("no dewy runs here, so nothing is being deployed")


class _Hold(Operation):
    name = "hold"
    help = "Stay at the current version until unhold."
    slow = True
    at_any_time = True

    async def online(self, operations: Operations, request: Request) -> str:
        return await operations.hold()

    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        from ..deploy import verbs

        return verbs.hold(root.state)


class _Unhold(Operation):
    name = "unhold"
    help = "End a hold."
    wakes = True
    at_any_time = True

    async def online(self, operations: Operations, request: Request) -> str:
        return await operations.unhold()

    def offline(self, root: OfflineRoot, version: str | None) -> Outcome:
        from ..deploy import verbs

        return verbs.unhold(root.state)


class _Pause(Steering):
    name = "pause"
    help = "Hold new connections back until resume."
    of_proxies = True

    async def steer(self, dewy: Steered, request: Request) -> str:
        return dewy.pausing.begin(request.seconds)


class _Resume(Steering):
    name = "resume"
    help = "Accept connections again after pause."
    of_proxies = True

    async def steer(self, dewy: Steered, request: Request) -> str:
        return dewy.pausing.end()


class _Reload(Steering):
    name = "reload"
    help = "Have the running dewy reread its configuration."

    async def steer(self, dewy: Steered, request: Request) -> str:
        return await (dewy.preview if request.dry else dewy.reload)()


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        _Deploy(),
        _Rollback(),
        _Retry(),
        _Abort(),
        _Hold(),
        _Unhold(),
        _Pause(),
        _Resume(),
        _Reload(),
    )
}
