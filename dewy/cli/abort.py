"""`dewy abort`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from
from .verb import operate


@click.command("abort", short_help="Cancel the deployment under way.")
@options_for("abort")
@click.pass_context
def command(ctx: click.Context, /, **given: object) -> None:
    """
    Cancel the deployment under way, which has not taken over yet.

    What runs goes on. The version is not quarantined: the next poll tries it again,
    unless `dewy hold` was said.
    """
    operate(settings_from(ctx), "abort")
