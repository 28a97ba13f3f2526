"""Repairs before the first poll, of whatever the last dewy left half done."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from .config import Settings
from .deploy.changes import DONE, new_id
from .deploy.history import ADOPTED, History, Record
from .deploy.rebuild import adopt, cached, left
from .deploy.releases import Releases
from .deploy.state import BrokenState, Group, Installed, State, StateFile
from .deploy.state_store import StateStore
from .deploy.verbs import BY_OPERATOR
from .errors import DeploymentError
from .logs import summary
from .supervisor.orphans import end_in_order
from .supervisor.processes import bearers, in_time, members
from .system import Clock, boot_id, start_time, utc

log = logging.getLogger(__name__)

BY_ANOTHER = "deployed by another program"


async def load(settings: Settings, clock: Clock) -> StateStore:
    """
    Return the state of this root: as dewy left it, as the original did, or empty.

    A broken state is set aside, so that it does not keep a working release from
    running.

    Raises:
        DewyError: the state exists but cannot be read.
        OSError: the broken state could not be set aside.
    """
    file = StateFile(settings.private)
    state = await asyncio.to_thread(_read, file, clock)
    await asyncio.to_thread(file.keep_spare)
    if state is not None:
        quarantine = state.quarantine.clamped(clock.wall())
        state = replace(state, quarantine=quarantine)
        return StateStore(file, _own(state, settings.command))
    state = await asyncio.to_thread(left, settings)
    if state.running:
        log.info("Adopted release", extra={"release": state.running.name})
    state_store = StateStore(file, state, written=False)
    await state_store.flush()
    return state_store


def _own(state: State, command: str) -> State:
    """Return *state* without releases of another command: images, or directories."""
    images, running = command == "container", state.running
    if running is None or bool(running.directory) != images:
        return state
    log.warning(
        "Release of another command is not started: waiting for the first deployment",
        extra={"release": running.name, "command": command},
    )
    kept = tuple(i for i in state.installed if bool(i.directory) != images)
    return replace(
        state, running=None, installed=kept, because="", back_at=0.0, gone=None
    )


async def repair(
    settings: Settings, state_store: StateStore, releases: Releases, clock: Clock
) -> None:
    """
    Bring `current` and the release directories in line with the state.

    If `current` leads to a release that the state does not know, another program
    deployed it meanwhile: that release is adopted.
    """
    await releases.clear_partial()
    interrupted, target = await releases.interrupted(), await releases.target()
    if target and target not in interrupted:
        await _adopt_strange(settings, state_store, target, clock)
    kept = await _kept(state_store.state, releases)
    before = state_store.state
    state = await state_store.note(lambda state: _present(state, kept | {target or ""}))
    if state.running is not None:
        if target in interrupted or _was_being_left(before, state, target):
            releases.own(target)
        await releases.restore(state.running.directory)
    await releases.clear_trials()


async def _kept(state: State, releases: Releases) -> frozenset[str]:
    """Return the release directories; all of *state* where the disk does not tell."""
    try:
        return await releases.names()
    except OSError as exc:
        # What is forgotten would be removed: an error of a moment must not do that.
        log.error("Releases not listed", extra={"error": str(exc)})
        known = (*state.installed, *((state.running,) if state.running else ()))
        return frozenset(each.directory for each in known)


async def _adopt_strange(
    settings: Settings, state_store: StateStore, target: str, clock: Clock
) -> None:
    state = state_store.state
    running = (state.running,) if state.running else ()
    if target in {each.directory for each in (*running, *state.installed)}:
        return
    found = await asyncio.to_thread(adopt, settings.root, settings.cache_dir)
    strange = found.running
    if strange is None:
        return
    await adopt_strange(settings, state_store, strange, clock)


async def adopt_strange(
    settings: Settings, state_store: StateStore, strange: Installed, clock: Clock
) -> None:
    """Adopt *strange*, a release that another program deployed; log and record that."""
    replaced = state_store.state.running
    log.warning(
        "Adopted release that another program deployed",
        extra={"release": strange.name, "instead_of": replaced and replaced.name},
    )
    await state_store.note(
        lambda state: deployed_by_another(state, strange, settings.keep)
    )
    row = _adoption(strange, replaced, clock.wall())
    try:
        await asyncio.to_thread(History(settings.private).append, row)
    except OSError as exc:
        log.error("History not written", extra={"error": summary(exc)})


def _adoption(strange: Installed, replaced: Installed | None, now: float) -> Record:
    return Record(
        at=now,
        tag=strange.name,
        previous=replaced.name if replaced else "",
        action="deploy",
        outcome=ADOPTED,
        step=DONE,
        reason=BY_ANOTHER,
        seconds=0.0,
        id=new_id(),
    )


def deployed_by_another(state: State, strange: Installed, keep: int) -> State:
    """
    Return *state* with *strange*, which another program deployed, as the running
    release.
    """
    return replace(
        state.deployed(strange, keep),
        quarantine=state.quarantine.release(strange.tag),
        because=BY_ANOTHER,
    )


def _was_being_left(before: State, after: State, target: str | None) -> bool:
    """Return whether `current` leads to *target* because a rollback was cut short."""
    left = next((i for i in before.installed if i.directory == target), None)
    return before.running != after.running or bool(left and before.is_bad(left))


async def recover(
    settings: Settings, state_store: StateStore, releases: Releases, clock: Clock
) -> None:
    """
    Recover the release that the original's cache names, in a root that lost its link.
    """
    if state_store.state.running or state_store.state.quarantine.entries:
        return
    # Only the root's own: in a shared cache the key is any application's.
    found = await asyncio.to_thread(cached, settings.private / "cache")
    if found is None:
        return
    tag, artifact = found
    now = clock.wall()
    directory = await releases.reserve(utc(now))
    file = artifact.name.partition("--")[2]
    try:
        await releases.unpack(artifact, file, directory)
    except DeploymentError as exc:
        log.warning("Cached release not usable", extra={"error": str(exc)})
        return
    installed = Installed(tag, "", directory, now)
    await state_store.change(lambda state: state.deployed(installed, settings.keep))
    await releases.switch(directory)
    log.info("Recovered release from the cache", extra={"release": tag})


def _read(file: StateFile, clock: Clock) -> State | None:
    try:
        return file.read()
    except BrokenState as exc:
        kept = file.set_aside(clock.wall())
        log.error("State set aside", extra={"error": str(exc), "kept": str(kept)})
        return None


def _present(state: State, kept: Collection[str]) -> State:
    """
    Return *state* without the releases whose directories somebody removed.
    """
    found, running = state.present(kept), state.running
    if running is None:
        return found
    if found.running != running:
        log.error("Running release is gone", extra={"directory": running.directory})
        return found
    return finish_rollback(found)


def finish_rollback(state: State, missing: Collection[Installed] = ()) -> State:
    """
    Return *state* after the rollback that was interrupted when dewy was killed, if any.

    A rollback begins with the quarantine of the release that is left, so a running
    release in quarantine was being left. A release in *missing* is the target only if
    there is no other.
    """
    running, back = state.running, next(state.candidates(missing), state.previous)
    entry = running and state.quarantine.find(running.tag, running.identity)
    if not running or not entry or entry.until is not None or back is None:
        return state
    log.warning("Finished rolling back", extra={"from": running.name})
    because = BY_OPERATOR if entry.by else f"put back, because {running.tag} failed"
    return replace(state, running=back, because=because, back_at=entry.at)


async def end_orphans(groups: Iterable[Group], root: Path, patience: float) -> None:
    """
    End the generations of a dewy of *root* that was killed.

    The kernel sent them SIGTERM when that dewy died, but not to processes in sessions
    of their own. After *patience* seconds the rest is killed.
    """
    boot = boot_id()
    left = {
        pid: begun
        for group in groups
        if group.boot == boot
        for pid, begun in await asyncio.to_thread(_living, group)
    }
    try:
        left |= await in_time(_marked, root)
    except OSError as exc:
        # What runs is started all the same.
        log.error("Orphans not looked for", extra={"error": str(exc)})
    if not left:
        return
    log.warning("Ended orphans", extra={"pids": sorted(left)})
    await end_in_order(left, patience)


def _living(group: Group) -> list[tuple[int, int]]:
    """
    Return the processes of *group*, each with its start time.

    Once the leader is gone its pid can only name the same session for as long as
    that has members; a new leader under that pid started later than ours.
    """
    leader = start_time(group.pid)
    if leader is not None and leader != group.started:
        return []
    living = ((pid, start_time(pid)) for pid in members(group.pid))
    return [(pid, begun) for pid, begun in living if begun is not None]


def _marked(root: Path) -> dict[int, int]:
    """Return the processes that any generation of *root* started."""
    mine = os.getpid()
    found = bearers(lambda mark: mark.split("@", 2)[2:] == [str(root)])
    # A dewy that was started from such a program must not end itself.
    return {p: b for p, b in found.items() if p != mine and mine not in members(p)}
