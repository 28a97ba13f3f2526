"""`dewy logs`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import click

from .. import loop
from ..config import Settings
from .arguments import options_for, settings_from
from .output import as_json

PAUSE = 0.5
"""Seconds between two looks at what was written."""

PATIENCE = 30.0
MOST = 1000


@click.command("logs", short_help="Show what the program, or the replicas, wrote.")
@options_for("logs")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, MOST),
    metavar="COUNT",
    default=50,
    show_default=True,
    help="The last COUNT lines of each.",
)
@click.option("--replica", metavar="WHICH", help="Only that one: index, name or id.")
@click.option("--generation", metavar="NUMBER", help="Only that one.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    follow: bool,
    count: int,
    replica: str | None,
    generation: str | None,
    json_: bool,
    **given: object,
) -> None:
    """
    Show what the program that runs in this directory wrote, or its replicas.

    A line begins with the name of who wrote it.
    """
    if replica and generation:
        raise click.UsageError("--replica is for containers, --generation is not")
    asked = {"lines": count, "replica": replica, "generation": generation}
    with suppress(KeyboardInterrupt):
        loop.run(_show(settings_from(ctx), asked, follow=follow, json_=json_))


async def _show(
    settings: Settings, asked: dict[str, Any], *, follow: bool, json_: bool
) -> None:
    from ..admin.client import ask

    after: dict[str, int] = {}
    while True:
        told = await ask(settings.private, "logs", PATIENCE, after=after, **asked)
        for part in told["sources"]:
            after[part["source"]] = part["next"]
            for line in shown(part, json_=json_):
                click.echo(line)
        if not follow:
            return
        sys.stdout.flush()
        asked["lines"] = MOST
        await asyncio.sleep(PAUSE)


def shown(part: Mapping[str, Any], *, json_: bool) -> Iterator[str]:
    """Yield the lines of one source, as they are printed."""
    source = part["source"]
    if json_:
        yield from (as_json({"source": source, "line": line}) for line in part["lines"])
        return
    if part["missed"]:
        yield f"{source} | ... {part['missed']} lines left out"
    if part.get("problem"):
        yield f"{source} | ... {part['problem']}"
    yield from (f"{source} | {line}" for line in part["lines"])
