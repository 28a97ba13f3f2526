"""`dewy ps`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .. import loop
from .arguments import options_for, settings_from
from .output import as_json, columns

if TYPE_CHECKING:
    from ..admin.discovery import Instance

HEADING = ("NAME", "COMMAND", "VERSION", "PID", "PORT", "HEALTHY", "ROOT")


@click.command("ps", short_help="List every dewy running on this host.")
@options_for("ps")
@click.option("--json", "json_", is_flag=True, help="Print a JSON array.")
@click.pass_context
def command(ctx: click.Context, /, json_: bool, **given: object) -> None:
    """
    List every dewy that runs on this host and answers.

    Tries the ten ports from --admin-port on, and the control sockets of those without
    such a port; the sockets of other users answer only to root.
    """
    from ..admin.discovery import everywhere

    found = loop.run(everywhere(settings_from(ctx).admin_port))
    if json_:
        click.echo(as_json([{"port": each.port, **each.status} for each in found]))
    else:
        click.echo("\n".join(table(found)))


def table(found: Sequence[Instance]) -> list[str]:
    """Return the dewys as people read them."""
    if not found:
        return ["no dewy answers on this host"]
    return columns([HEADING, *map(_row, found)])


def _row(found: Instance) -> tuple[str, ...]:
    status = found.status
    healthy = {True: "yes", False: "no"}.get(status.get("healthy", ""), "-")
    return (
        str(status.get("name") or "-"),
        found.mode,
        str(status.get("current_version") or "-"),
        str(status.get("pid") or "-"),
        str(found.port or "-"),
        healthy,
        str(status.get("root") or "-"),
    )
