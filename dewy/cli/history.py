"""`dewy history`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from ..deploy.history import ADOPTED, History, Record
from .arguments import options_for, settings_from
from .output import RED, YELLOW, as_json, coloured, columns, localised, period, span

TONES = {
    "failed": RED,
    "died": RED,
    "rolled back": RED,
    "cancelled": YELLOW,
    "interrupted": YELLOW,
    "hook failed": YELLOW,
}
WELL = ("deployed", "reloaded", ADOPTED)


@click.command("history", short_help="Show the past deployments of this directory.")
@options_for("history")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    metavar="COUNT",
    help="Show only the last COUNT deployments.",
)
@click.option("--json", "json_", is_flag=True, help="Print a JSON array.")
@click.pass_context
def command(
    ctx: click.Context, /, count: int | None, json_: bool, **given: object
) -> None:
    """Show every deployment in this directory and its outcome, oldest first."""
    records = History(settings_from(ctx).private).read()
    chosen = records[-count:] if count else records
    if json_:
        click.echo(as_json([asdict(record) for record in chosen]))
    else:
        heading, *rows = table(chosen)
        tones = [TONES.get(record.outcome) for record in chosen]
        told = [coloured(r, t) if t else r for r, t in zip(rows, tones, strict=False)]
        click.echo("\n".join([heading, *told]))


def table(records: Sequence[Record]) -> list[str]:
    """Return the records as people read them."""
    if not records:
        return ["nothing was deployed here yet"]
    rows = [("WHEN", "VERSION", "FROM", "OUTCOME", "TOOK", "WHY"), *map(_row, records)]
    return columns(rows)


def _row(record: Record) -> tuple[str, ...]:
    reason = record.story
    if record.outcome not in WELL and record.step:
        reason = f"{record.step}: {reason}" if reason else record.step
    return (
        period(record.at - record.seconds, record.at),
        record.tag,
        record.previous or "-",
        record.outcome,
        span(record.seconds),
        localised(reason),
    )
