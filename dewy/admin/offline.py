"""Commands in a root where no dewy runs."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config import Settings
from ..config.settings import app_name
from ..deploy import verbs
from ..deploy.changes import DONE, new_id
from ..deploy.history import History, Record
from ..deploy.lock import lock
from ..deploy.rebuild import left
from ..deploy.state import BrokenState, Installed, State, StateFile
from ..errors import DewyError
from ..system import Clock
from .recent_history import RecentHistory
from .status import ProcessStatus, status
from .verbs import VERBS, OfflineRoot, Operation

__all__ = ["apply", "look", "state_of"]


def look(settings: Settings, clock: Clock, problem: str = "") -> dict[str, Any]:
    """
    Return the status of a root without a dewy; creates nothing.

    *problem* describes a dewy that is there but does not answer.

    Raises:
        DewyError: the state cannot be read.
    """
    state = state_of(settings)
    return status(
        state,
        clock.wall(),
        name=app_name(settings.registry, settings.name) or settings.root.name,
        command="",
        root=str(settings.root),
        process=ProcessStatus(0, degraded=[problem]) if problem else None,
        broken=_broken(StateFile(settings.private)),
        past=_past(settings.private),
    )


def apply(
    settings: Settings,
    verb: str,
    version: str | None,
    clock: Clock,
    away: Collection[Installed] = (),
) -> str:
    """
    Apply *verb* to the state, under the lock; return the text for the operator.

    A rollback goes to one of *away*, whose images are not here, only if there is no
    other.

    Raises:
        DewyError: *verb* cannot be carried out, or a dewy works in the root after all.
        OSError: the state could not be written.
    """
    operation = VERBS[verb]
    assert isinstance(operation, Operation)
    _require_root(settings.root, settings.private)
    with lock(settings.private):
        before = state_of(settings)
        root = OfflineRoot(settings, before, clock, away)
        after, message = operation.offline(root, version)
        if after != before:
            _write(StateFile(settings.private), after, clock)
        if not operation.goes_back:
            return message
        _record(settings.private, before, after, clock)
    runs = after.running.name if after.running else ""
    return f"{message}; no dewy runs here: {runs} runs from the next start on"


def _record(private: Path, before: State, after: State, clock: Clock) -> None:
    """Have the history name the rollback, if the disk takes it: it is done."""
    left, target = before.running, after.running
    record = Record(
        at=clock.wall(),
        tag=target.name if target else "",
        previous=left.name if left else "",
        action="rollback",
        outcome="deployed",
        step=DONE,
        reason=f"{verbs.BY_OPERATOR} while no dewy ran",
        seconds=0.0,
        id=new_id(),
    )
    with suppress(OSError):
        History(private).append(record)


def _write(file: StateFile, state: State, clock: Clock) -> None:
    try:
        file.read()
    except BrokenState:
        file.set_aside(clock.wall())
    file.write(state)


def _past(private: Path) -> list[dict[str, Any]]:
    """Return the recent history; of one that cannot be read nothing."""
    try:
        return RecentHistory(private).read()
    except OSError:
        return []


def _broken(file: StateFile) -> list[Path]:
    try:
        file.read()
    except BrokenState:
        return [*file.broken(), file.path]
    return file.broken()


def state_of(settings: Settings) -> State:
    """
    Return the root's state as it is, or as a dewy that starts there would find it.

    Raises:
        DewyError: the state cannot be read.
    """
    try:
        written = StateFile(settings.private).read()
    except BrokenState:
        written = None
    return written or left(settings)


def _require_root(root: Path, private: Path) -> None:
    # A slip of the working directory must not leave a state behind.
    if not private.is_dir() and not (root / "current").is_symlink():
        raise DewyError(
            f"no dewy has ever worked in {root}; is it the right directory?"
        )
