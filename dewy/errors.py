"""
Errors that dewy raises on purpose.

* DewyError
  * ConfigError: exit status 2, nothing was started
    * ConfigErrors: several at once
    * UnknownScheme
    * ImplementationUnavailable
  * RemoteError: somebody else's server; worth another try later
    * RateLimited
    * AccessRefused
      * Distrusted
    * Missing
    * OddAnswer: what it says of one version makes no sense
    * EngineError: Docker or Podman did not do its part
      * NameTaken
      * PullDenied
      * ImageMissing
  * NoRelease: the registry answered, and nothing in it is for us
    * Ambiguous: several files of a release fit this host equally well
  * NotYet: a release is on its way; ask again at the next tick
  * DeploymentError: this release could not be brought up
    * HookFailed
    * ArchiveError
    * ChecksumError
    * SignatureError
    * StartFailed
      * RestartCalledOff: another release takes over instead
  * RootBusy: another dewy works in this root

Messages are one line, name what is wrong and say what would be right.

Any other exception is a fault of dewy, or of the plugin that it came through.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from .release import Refusal


class DewyError(Exception):
    """Base of every error dewy raises on purpose."""


class ConfigError(DewyError):
    """The operator's request cannot be carried out as written."""


class ConfigErrors(ConfigError):
    """
    Several mistakes that were found together.

    Attributes:
        errors: The single mistakes, at least two.
    """

    def __init__(self, message: str, errors: Sequence[ConfigError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class Mistakes:
    """Collector of configuration errors, so that all are told at once."""

    def __init__(self, errors: Iterable[ConfigError] = ()) -> None:
        self.errors = list(errors)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Keep a ConfigError that is raised in the block, and go on."""
        try:
            yield
        except ConfigErrors as exc:
            self.errors += exc.errors
        except ConfigError as exc:
            self.errors.append(exc)

    def check(self) -> None:
        """
        Raises:
            ConfigError: at least one was kept.
        """
        if self.errors:
            raise self.error()

    def error(self) -> ConfigError:
        """Return all that were kept, of which there is at least one, as an error."""
        if len(self.errors) > 1:
            return ConfigErrors("; ".join(map(str, self.errors)), self.errors)
        return self.errors[0]


class UnknownScheme(ConfigError):
    """The URL's scheme has no implementation."""


class ImplementationUnavailable(ConfigError):
    """The implementation exists, but an optional dependency is missing."""


class RemoteError(DewyError):
    """
    A registry or a store did not do its part.

    Attributes:
        retry_after: Seconds the remote asked us to stay away, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(RemoteError):
    """The remote refuses to answer for a while; `retry_after` says how long."""


class AccessRefused(RemoteError):
    """
    Access was refused with credentials, or authorities, that others may have renewed.
    """


class Distrusted(AccessRefused):
    """The certificate of the remote is certified by nobody that this host trusts."""


class Missing(RemoteError):
    """The remote does not have what it was asked for, or shows it to nobody."""


class OddAnswer(RemoteError):
    """The remote refuses one version, or describes it incorrectly."""


class EngineError(RemoteError):
    """The container engine refused, hung, or answered what it should not."""


class NameTaken(EngineError):
    """The name belongs to another container."""


class PullDenied(EngineError):
    """The image registry wants other credentials than it was shown."""


class ImageMissing(EngineError):
    """An image is not on this host any more; it can be pulled again."""


class NoRelease(DewyError):
    """
    The registry holds no release for this host.

    Attributes:
        refused: The candidates that were passed over, each with the reason.

        since: The time of publication of the release that has no artifact for this
            host; the artifact may still be on its way. None without such a release.

        unfinished: True if that release holds nothing yet that could be deployed
            anywhere, so that it is not waited for.
    """

    def __init__(
        self,
        message: str,
        refused: Sequence[Refusal] = (),
        since: datetime | None = None,
        *,
        unfinished: bool = False,
    ) -> None:
        super().__init__(message)
        self.refused = tuple(refused)
        self.since = since
        self.unfinished = unfinished

    def prepend(self, refused: Sequence[Refusal]) -> None:
        """Add *refused*, the candidates that were passed over before."""
        self.refused = (*refused, *self.refused)


class Ambiguous(NoRelease):
    """Several files of a release fit this host equally well; `artifact` decides."""


class NotYet(DewyError):
    """
    A release is being published right now; the next tick will see it.

    Attributes:
        settles_in: Seconds until it may be published; None where nobody knows.
    """

    def __init__(self, message: str, *, settles_in: float | None = None) -> None:
        super().__init__(message)
        self.settles_in = settles_in


class DeploymentError(DewyError):
    """
    A release could not be brought up; the running one serves on.

    The message is shown to every user of the host: it holds no word of a program.

    Attributes:
        log_tail: The last lines the failed program wrote, oldest first.

        detail: A program's own words in one line, for the log, notices and
            whoever may read the control socket; by default the last of *log_tail* that
            is not blank, "" where there are none.

        host: True if this host is to blame (its disk, its memory, its engine), and not
            the release.
    """

    def __init__(
        self,
        message: str,
        *,
        log_tail: Sequence[str] = (),
        detail: str = "",
        host: bool = False,
    ) -> None:
        super().__init__(message)
        self.log_tail = tuple(log_tail)
        self.detail = detail or last_words(log_tail)
        self.host = host


def last_words(log_tail: Sequence[str]) -> str:
    """Return the last line of *log_tail* that is not blank, or ""."""
    return next((line for line in reversed(log_tail) if line.strip()), "")


class HookFailed(DeploymentError):
    """A before-hook ended with a failure or ran into its time limit."""


class ArchiveError(DeploymentError):
    """An archive is broken, or holds what must not be unpacked."""


class ChecksumError(DeploymentError):
    """An artifact is not the one that was published."""


class SignatureError(DeploymentError):
    """An artifact is not signed with a key the operator trusts."""


class StartFailed(DeploymentError):
    """A new generation died, never got ready, or failed its health check."""


class RestartCalledOff(StartFailed):
    """A restart gave way to another release, which is to run; nothing failed."""


class RootBusy(DewyError):
    """The root is locked by another dewy."""


def install_hint(extra: str) -> str:
    """
    Return the command that installs what *extra* needs for this interpreter.

    It names the dependencies rather than dewy: on the public index, that name belongs
    to another project.
    """
    # Read only here: it takes longer to load than most commands to run.
    from importlib.metadata import PackageNotFoundError, requires

    try:
        stated = requires("dewy") or []
    except PackageNotFoundError:
        stated = []
    parts = (each.partition(";") for each in stated)
    wanted = [
        name.strip()
        for name, _, marker in parts
        if marker.replace("'", '"').rpartition("extra == ")[2].strip(' ")') == extra
    ]
    if not wanted:
        return f"install dewy from its wheel or checkout with the extra {extra!r}"
    return shlex.join([sys.executable, "-m", "pip", "install", *wanted])


_PLUGINS: dict[str, str] = {}


def register_plugin(module: str, scheme: str) -> None:
    """Note that *module*, and all of its package, is the plugin for *scheme*."""
    _PLUGINS[module.partition(".")[0]] = f"the plugin for {scheme}://"


def of_plugin(exc: BaseException) -> str:
    """Return the name of the plugin that *exc* came through; "" for none."""
    if not _PLUGINS:
        return ""
    frames = (frame for frame, _ in walk_tb(exc.__traceback__))
    modules = (str(frame.f_globals.get("__name__", "")) for frame in frames)
    packages = (module.partition(".")[0] for module in modules)
    return next((_PLUGINS[each] for each in packages if each in _PLUGINS), "")


def fault_of(exc: BaseException) -> str:
    """Return `a fault of dewy`, or of the plugin that *exc* came through."""
    return f"a fault of {of_plugin(exc) or 'dewy'}"
