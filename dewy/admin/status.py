"""The status of `dewy status` and the HTTP API, from its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..deploy.plan import not_tried, outdated_by
from ..deploy.state import Installed, State
from ..deploy.verbs import BY_OPERATOR
from ..versions import Key, precedence

__all__ = ["ProcessStatus", "status"]

PAUSED = "new connections are paused; `dewy resume` ends it"

Past = Sequence[Mapping[str, Any]]

LOST = "its hold and quarantine do not count; repair or remove it"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """
    The part of the status that only a running dewy knows.

    Attributes:
        admin_port: The port of the HTTP API; 0 without one.

        degraded: The degradations, a phrase each.

        generations: The copies of the program: `generation`, `pid`, `state`,
            `since`, `status`, `last_check` each.

        deaths: The deaths of the program while it served: `total`, and of the `last`
            one `generation`, `how`, `lived`, `at`, or None; None in other modes.

        next_poll, last_poll: Seconds since the epoch, or None.

        last_error: The last failure in one line, or "".

        last_detail: A program's own words that belong to it, or "".

        underway: The change under way, of the version or of options: `id`, `tag`,
            `previous`, `action`, `why`, `step`, `progress`, `since`; or None.

        follow_up: What still follows a completed change: `id`, `tag`, `action`, `step`
            (`after-hook`, `report`, `clean-up`), `since`; or None.

        probation: Seconds that are left of it for what runs, or None.

        status_reason: The outcome of the last look at the registry.

        passed_over: The newer versions that this host cannot have, or may not:
            `name` and `reason` each.

        replicas: The containers, as `GET /api/containers` lists them.

        desired_replicas: The number of them that is wanted; None in other modes.

        ports: The addresses where clients come in: `address` each, and what the proxy
            counts there, if it is dewy's.

        paused: New connections wait in the kernel's backlog.

        troubles: The notifiers that fail, a phrase each.

        key: The precedence of a version's name.

        newest: The tag that polls find; "" where that is not known.
    """

    pid: int
    degraded: Sequence[str] = ()
    generations: Sequence[Mapping[str, Any]] = ()
    next_poll: float | None = None
    last_poll: float | None = None
    last_error: str = ""
    last_detail: str = ""
    underway: Mapping[str, Any] | None = None
    follow_up: Mapping[str, Any] | None = None
    probation: float | None = None
    status_reason: str = ""
    passed_over: Sequence[Mapping[str, str]] = ()
    replicas: Sequence[Mapping[str, Any]] = ()
    desired_replicas: int | None = None
    ports: Sequence[Mapping[str, Any]] = ()
    paused: bool = False
    troubles: Sequence[str] = ()
    deaths: Mapping[str, Any] | None = None
    admin_port: int = 0
    key: Callable[[str], Key | None] = precedence
    newest: str = ""


def status(
    state: State,
    now: float,
    *,
    name: str,
    command: str,
    root: str,
    process: ProcessStatus | None,
    broken: Sequence[Path] = (),
    past: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """
    Return the status as it is sent and printed; *process* is None where no dewy runs.

    *now* and the times in the answer are seconds since the epoch; *broken* names
    the files of states that could not be read; *past* is the recent history, newest
    first.
    """
    live = process or ProcessStatus(0, degraded=["no dewy runs in this root"])
    degraded = list(live.degraded)
    if state.running is None:
        degraded.append("nothing is deployed")
    degraded += [f"{each} could not be read: {LOST}" for each in broken]
    return {
        "name": name,
        "command": command,
        "pid": live.pid or None,
        "admin_port": live.admin_port,
        "dewy": __version__,
        "root": root,
        "running": _running(state, past),
        "why": state.because if state.running else "",
        "standing": live.status_reason,
        "passed_over": [dict(each) for each in live.passed_over],
        "previous": _release(state.rollback_target(), past),
        "healthy": not degraded,
        "degraded": degraded,
        "attention": list(_attention(state, live)),
        "underway": dict(live.underway) if live.underway else None,
        "follow_up": dict(live.follow_up) if live.follow_up else None,
        "probation": live.probation,
        "hold": state.hold,
        "quarantine": _quarantine(state, now, live),
        "generations": [dict(each) for each in live.generations],
        "deaths": dict(live.deaths) if live.deaths else None,
        "replicas": [dict(each) for each in live.replicas],
        "desired_replicas": live.desired_replicas,
        "ports": [dict(each) for each in live.ports],
        "paused": live.paused,
        "next_poll": live.next_poll,
        "last_poll": live.last_poll,
        "last_error": live.last_error,
        "last_detail": live.last_detail,
    }


def _attention(state: State, live: ProcessStatus) -> Iterator[str]:
    """Yield what is not as usual though what is deployed is well, a phrase each."""
    if state.hold:
        yield "held; `dewy unhold` ends it"
    if live.paused:
        yield PAUSED
    for entry in state.quarantine:
        if entry.reason == BY_OPERATOR:
            again = f"`dewy retry {entry.tag}` allows it again"
            yield f"{entry.tag} was rolled back; {again}"
    if live.passed_over and state.running:
        yield f"{live.passed_over[0]['name']} is newer and passed over"
    yield from live.troubles


def _running(state: State, past: Past) -> dict[str, Any] | None:
    told = _release(state.running, past)
    return told and {**told, "since": state.since}


def _release(installed: Installed | None, past: Past) -> dict[str, Any] | None:
    if installed is None:
        return None
    made = next((r for r in past if _deployed(r, installed)), None)
    return {
        "tag": installed.name,
        "identity": installed.identity,
        "directory": installed.directory,
        "since": installed.at,
        "began": made and made["at"] - made["seconds"],
        "ended": made and made["at"],
    }


def _deployed(record: Mapping[str, Any], installed: Installed) -> bool:
    """Return whether *record* is of the deployment of *installed*."""
    kind = (record["tag"], record["action"], record["outcome"])
    return kind == (installed.tag, "deploy", "deployed")


def _quarantine(state: State, now: float, live: ProcessStatus) -> list[dict[str, Any]]:
    return [
        {
            "tag": entry.tag,
            "identity": entry.identity,
            "reason": entry.reason,
            "detail": entry.detail,
            "failures": entry.failures,
            "at": entry.at,
            "until": entry.until,
            "outdated_by": outdated_by(state, entry.tag, live.key),
            "not_tried": not_tried(state, entry.tag, live.newest, live.key)
            if entry.until
            else "",
        }
        for entry in state.quarantine.clamped(now)
    ]
