"""`dewy unhold`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from
from .verb import operate


@click.command("unhold", short_help="End a hold.")
@options_for("unhold")
@click.pass_context
def command(ctx: click.Context, /, **given: object) -> None:
    """
    End a hold.

    The newest release is deployed at the next poll.
    """
    operate(settings_from(ctx), "unhold")
