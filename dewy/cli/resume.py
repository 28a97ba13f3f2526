"""`dewy resume`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from
from .verb import steer


@click.command("resume", short_help="Take connections again after pause.")
@options_for("resume")
@click.pass_context
def command(ctx: click.Context, /, **given: object) -> None:
    """Take connections again, those that waited first."""
    steer(settings_from(ctx), "resume")
