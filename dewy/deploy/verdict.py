"""The fault of a failed deployment: the release's, or the host's (pure)."""

from __future__ import annotations

from ..errors import DeploymentError, DewyError

__all__ = ["is_verdict"]

NO_THREAD = "can't start new thread"


def is_verdict(exc: BaseException) -> bool:
    """
    Return whether *exc* says that the release is bad, so that it goes into quarantine.

    A full disk, a store or an engine that is away, and a lack of memory, processes
    or threads say nothing of it: the deployment is tried again as polls are.
    """
    if isinstance(exc, DeploymentError):
        return not exc.host
    if isinstance(exc, RuntimeError) and str(exc) == NO_THREAD:
        return False
    return not isinstance(exc, DewyError | OSError | MemoryError)
