"""`dewy status`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from .. import loop
from ..config import Settings
from .arguments import options_for, settings_from
from .output import (
    GREEN,
    RED,
    YELLOW,
    as_json,
    coloured,
    columns,
    localised,
    moment,
    period,
    refresh,
    span,
)

__all__ = ["proxy_lines"]

Status = Mapping[str, Any]

SHOWN = 5
"""The number of passed-over versions that are named."""

CLOCKS_DIFFER = 60.0
"""Seconds; a moment that is further ahead comes from a clock that ran ahead."""


@click.command("status", short_help="Show what runs here and whether it is healthy.")
@options_for("status")
@click.option("--check", is_flag=True, help="Exit with status 1 if dewy is degraded.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@click.pass_context
def command(
    ctx: click.Context, /, check: bool, json_: bool, watch: bool, **given: object
) -> int:
    """Show what runs in this directory, and what keeps a release from running."""
    if check and watch:
        raise click.UsageError("--check ends with a status, --watch does not end")
    settings = settings_from(ctx)
    if watch:
        refresh(lambda: _shown(_look(settings), json_=json_), json_=json_)
        return 0
    status = _look(settings)
    click.echo(_shown(status, json_=json_))
    return 1 if check and status["degraded"] else 0


def _look(settings: Settings) -> Status:
    from ..admin import operate

    return loop.run(operate.look(settings))


def _shown(status: Status, *, json_: bool) -> str:
    if json_:
        return as_json(status)
    headline, *lines = screen(status, time.time())
    tone = RED if status["degraded"] else YELLOW if _unusual(status) else GREEN
    return "\n".join([coloured(headline, tone), *lines])


def _unusual(status: Status) -> bool:
    """Return whether somebody may want to look, though all is well."""
    return bool(status.get("attention") or status.get("underway"))


def screen(status: Status, now: float) -> list[str]:
    """Return the status as people read it; *now* is seconds since the epoch."""
    told = _facts(status, now) if status["command"] != "proxy" else _place_of(status)
    rows = [(name + ":", localised(text)) for name, text in told if text]
    return [
        localised(_headline(status)),
        *columns(rows),
        *_generations(status, now),
        *_replicas(status),
        *(proxy_lines(status) if status["command"] == "proxy" else ()),
    ]


def _place_of(status: Status) -> Iterator[tuple[str, str]]:
    yield "root", status["root"]
    yield "dewy", _dewy(status)


def _headline(status: Status) -> str:
    running = status["running"]
    what = f"{status['name']} {running['tag']}" if running else status["name"]
    if not status["degraded"]:
        attention = "; ".join(status.get("attention", ()))
        return (
            f"{what} needs attention: {attention}" if attention else f"{what} is well"
        )
    return f"{what} is degraded: {'; '.join(status['degraded'])}"


def _facts(status: Status, now: float) -> Iterator[tuple[str, str]]:
    yield from _place_of(status)
    if status["command"] == "container":
        yield "ports", ", ".join(each["address"] for each in status.get("ports", ()))
    yield ("running" if status["pid"] else "current"), _release(status["running"], now)
    yield "why", status["why"]
    yield _doing(status.get("underway")), _underway(status.get("underway"), now)
    yield "following up", _follow_up(status.get("follow_up"), now)
    yield "previous", _release(status["previous"], now)
    if status.get("probation") is not None:
        yield "probation", f"{span(status['probation'])} left"
    if status["hold"]:
        yield "hold", "yes; `dewy unhold` ends it"
    for entry in status["quarantine"]:
        yield "quarantine", _quarantine(entry, now)
    yield "deaths", _deaths(status.get("deaths"), now)
    if status["last_poll"] is not None:
        yield "last poll", f"{span(now - status['last_poll'])} ago"
    if status["next_poll"] is not None and not status.get("underway"):
        yield "next poll", _next_poll(status["next_poll"], now)
    yield "registry", _standing(status)
    for text in _passed_over(status):
        yield "passed over", text
    yield "last error", _with_words(status["last_error"], status.get("last_detail"))


def _next_poll(begins: float, now: float) -> str:
    if begins > now:
        return f"in {span(begins - now)}"
    # It goes on: the registry is slow, or hangs.
    return f"under way for {span(now - begins)}"


def _deaths(deaths: Mapping[str, Any] | None, now: float) -> str:
    if not deaths or not deaths["last"]:
        return ""
    last = deaths["last"]
    return (
        f"{deaths['total']}; the last {span(now - last['at'])} ago: generation "
        f"{last['generation']} ({last['how']}) after {span(last['lived'])}"
    )


def _passed_over(status: Status) -> Iterator[str]:
    passed = status.get("passed_over", ())
    listed = {each["tag"] for each in status["quarantine"]}
    for each in passed[:SHOWN]:
        name, reason = each["name"], each["reason"]
        # The line of its quarantine has the rest.
        told = name in listed and reason.startswith(f"{name} is in quarantine")
        yield f"{name}: {'in quarantine' if told else reason}"
    if len(passed) > SHOWN:
        yield f"and {len(passed) - SHOWN} more"


def _standing(status: Status) -> str:
    """Return the outcome of the last look, or "" if another line says so."""
    running = status["running"]
    told = status["degraded"] + ([f"{running['tag']} runs"] if running else [])
    status_reason = str(status["standing"])
    return "" if status_reason in told or status["last_error"] else status_reason


def _dewy(status: Status) -> str:
    if not status["pid"]:
        return "not running"
    return f"{status['command']}, version {status['dewy']}, pid {status['pid']}"


def _release(release: Status | None, now: float) -> str:
    if release is None:
        return ""
    since, ended = release["since"], release.get("ended") or release["since"]
    deployed = f"deployed {period(release.get('began'), ended)}"
    if ended < since <= now:
        deployed += f", gone back to {moment(since)}"
        ended = since
    return f"{release['tag']}, {deployed} ({_ago(ended, now)}), {_place(release)}"


def _ago(moment: float, now: float) -> str:
    if moment > now + CLOCKS_DIFFER:
        return "by a clock that ran ahead"
    return f"{span(now - moment)} ago"


def _doing(change: Status | None) -> str:
    """Return the heading of the change under way."""
    action = change.get("action", "deploy") if change else "deploy"
    return {"rollback": "going back", "reload": "reloading"}.get(action, "deploying")


def _underway(change: Status | None, now: float) -> str:
    """Describe the change of version under way, and how far it is."""
    if change is None:
        return ""
    progress = change.get("progress") or change["step"]
    return f"{change['tag']}, {progress}, for {span(now - change['since'])}"


def _follow_up(change: Status | None, now: float) -> str:
    """Describe what still follows a change that is completed."""
    if change is None:
        return ""
    return f"{change['tag']}, {change['step']}, for {span(now - change['since'])}"


def _place(release: Status) -> str:
    """Return the release's place: a directory, or the image by its digest."""
    if release["directory"]:
        return f"releases/{release['directory']}"
    return str(release["identity"])


def _quarantine(entry: Status, now: float) -> str:
    until = entry["until"]
    if until is None:
        again = f"until `dewy retry {entry['tag']}`"
    elif entry.get("not_tried"):
        again = entry["not_tried"]
    elif until <= now:
        again = "tried again at the next poll"
    else:
        again = f"tried again in {span(until - now)}"
    times = f", {entry['failures']} failures" if entry["failures"] > 1 else ""
    why = _with_words(entry["reason"], entry.get("detail"))
    return f"{entry['tag']}: {why} ({again}{times})"


def _with_words(reason: str, detail: str | None) -> str:
    """Return *reason* and a program's own words that belong to it."""
    return ": ".join(filter(None, (reason, detail)))


def _generations(status: Status, now: float) -> list[str]:
    rows = [
        (
            f"generation {each['generation']}",
            f"pid {each['pid']}",
            str(each["state"]),
            f"for {span(now - each['since'])}",
            str(each["status"] or ""),
        )
        for each in status["generations"]
    ]
    return columns(rows) if rows else []


def _replicas(status: Status) -> list[str]:
    rows = [
        (
            f"replica {each['name']}",
            str(each["version"]),
            str(each["phase"]),
            str(each["health"]),
            f"{each['connections']} connections",
            f"{each['upstream']} {each['way']}".strip(),
            _restarted(each),
        )
        for each in status["replicas"]
    ]
    return columns(rows) if rows else []


def _restarted(replica: Status) -> str:
    """
    Describe how often the replica was replaced at its version, and how the last ended.

    The end of another version in its place says nothing about this one.
    """
    last = replica.get("last_terminated")
    if last and last["version"] != replica["version"]:
        last = None
    restarts = replica.get("restarts")
    times = "once" if restarts == 1 else f"{restarts} times"
    counted = f"restarted {times}" if restarts else ""
    ended = f"last {_end(last)}" if last else ""
    return ", ".join(filter(None, (counted, ended)))


def _end(last: Status) -> str:
    at = moment(datetime.fromisoformat(last["finished_at"]).timestamp())
    return f"{last['container']} ({last['version']}): {last['how']}, {at}"


def proxy_lines(status: Mapping[str, Any]) -> list[str]:
    """Return a line for each port and each backend of the proxy."""
    rows = [*_ports(status), *_backends(status)]
    return columns(rows) if rows else []


def _ports(status: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in status["ports"]:
        yield (
            f"port {each['address']}",
            "",
            f"{each['connections']} connections",
            f"{each['connections_total']} in all",
            f"{each['errors']} errors" if each["errors"] else "",
        )


def _backends(status: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    several = len(status["ports"]) > 1
    for each in status["backends"]:
        yield (
            f"backend {each['address']}",
            str(each["state"]),
            f"{each['connections']} connections",
            f"{each['connections_total']} in all",
            f"for port {each['port']}" if several else "",
        )
