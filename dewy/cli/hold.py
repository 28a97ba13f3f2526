"""`dewy hold`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from
from .verb import operate


@click.command("hold", short_help="Stop changes of version until unhold.")
@options_for("hold")
@click.pass_context
def command(ctx: click.Context, /, **given: object) -> None:
    """
    Stop changes of version until unhold.

    Whatever runs goes on, is restarted when it dies, and may be rolled back; one that
    fails its probation is left for the previous release all the same. Where nothing
    runs yet, the first release is still deployed.
    """
    operate(settings_from(ctx), "hold")
