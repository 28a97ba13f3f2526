"""`dewy logs`."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from .. import loop
from ..config import Settings
from ..config.values import duration
from ..errors import ConfigError
from .arguments import options_for, settings_from
from .output import as_json, moment

PAUSE = 0.5
"""Seconds between two looks at what was written."""

PATIENCE = 30.0
MOST = 1000


@dataclass(frozen=True, slots=True)
class Shown:
    """
    The lines that are shown, and how.

    Attributes:
        since: The time of the first, seconds since the epoch.

        grep: Pattern that each line matches; None for any line.

        last: The number of lines of each source, the last ones; None for all.
    """

    since: float = 0.0
    grep: re.Pattern[str] | None = None
    last: int | None = None
    times: bool = False
    json: bool = False

    @property
    def chooses(self) -> bool:
        """Whether lines are left out for what they are."""
        return bool(self.since or self.grep)

    def of(self, part: Mapping[str, Any]) -> list[tuple[float, str]]:
        """Return the lines of one source that are shown, with their times."""
        lines = part["lines"]
        dated = zip(part.get("times") or [0.0] * len(lines), lines, strict=True)
        found = [(at, line) for at, line in dated if self._wants(at, line)]
        return found if self.last is None else found[-self.last :]

    def _wants(self, at: float, line: str) -> bool:
        return at >= self.since and (self.grep is None or bool(self.grep.search(line)))


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> float:
    """Read a time, or how long ago it was."""
    if value is None:
        return 0.0
    with suppress(ConfigError):
        return time.time() - duration(value, "--since")
    try:
        # Without an offset it is this host's time, as people read it here.
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        text = f"{value} is no time such as 10m, 1h30m or 2026-03-02 09:00"
        raise click.BadParameter(text) from None


def _pattern(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as exc:
        text = f"{value} is no regular expression: {exc}"
        raise click.BadParameter(text) from None


@click.command("logs", short_help="Show the output of the program or the replicas.")
@options_for("logs")
@click.option("--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, MOST),
    metavar="COUNT",
    help="Show the last COUNT lines of each source; 50 unless --since or --grep is "
    "given.",
)
@click.option(
    "--since",
    callback=_time,
    metavar="TIME",
    help="Show only lines since then: 10m ago, or 2026-03-02 09:00.",
)
@click.option(
    "--grep",
    callback=_pattern,
    metavar="PATTERN",
    help="Show only lines that match this regular expression.",
)
@click.option(
    "-t", "--timestamps", is_flag=True, help="Show when each line was written."
)
@click.option(
    "--replica", metavar="WHICH", help="Show only this replica, by index, name or id."
)
@click.option("--generation", metavar="NUMBER", help="Show only this generation.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object per line.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    follow: bool,
    count: int | None,
    since: float,
    grep: re.Pattern[str] | None,
    timestamps: bool,
    replica: str | None,
    generation: str | None,
    json_: bool,
    **given: object,
) -> None:
    """
    Show the output of the program or the replicas that run in this directory.

    Each line begins with its source: the generation or the replica.
    """
    if replica and generation:
        raise click.UsageError("--replica is for containers, --generation is not")
    how = Shown(since, grep, count, timestamps, json_)
    lines = MOST if how.chooses else count or 50
    asked = {"lines": lines, "replica": replica, "generation": generation}
    with suppress(KeyboardInterrupt):
        loop.run(_show(settings_from(ctx), asked, how, follow=follow))


async def _show(
    settings: Settings, asked: dict[str, Any], how: Shown, *, follow: bool
) -> None:
    from ..admin.client import ask

    after: dict[str, int] = {}
    while True:
        told = await ask(settings.private, "logs", PATIENCE, after=after, **asked)
        for part in told["sources"]:
            after[part["source"]] = part["next"]
            for line in shown(part, how):
                click.echo(line)
        if not follow:
            return
        sys.stdout.flush()
        asked["lines"] = MOST
        await asyncio.sleep(PAUSE)


def shown(part: Mapping[str, Any], how: Shown) -> Iterator[str]:
    """Yield the lines of one source, as they are printed."""
    source = part["source"]
    if how.json:
        for at, line in how.of(part):
            yield as_json({"source": source, "line": line, "at": _utc(at)})
        return
    if part["missed"] and not how.chooses:
        yield f"{source} | ... {part['missed']} lines left out"
    if part.get("problem"):
        yield f"{source} | ... {part['problem']}"
    for at, line in how.of(part):
        yield f"{source} | {moment(at)} {line}" if how.times else f"{source} | {line}"


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
