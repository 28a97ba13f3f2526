"""`dewy retry`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from
from .verb import operate


@click.command("retry", short_help="Let VERSION out of quarantine.")
@options_for("retry")
@click.argument("version")
@click.pass_context
def command(ctx: click.Context, /, version: str, **given: object) -> None:
    """
    Let VERSION out of quarantine.

    It is deployed again if it is the newest release.
    """
    operate(settings_from(ctx), "retry", version)
