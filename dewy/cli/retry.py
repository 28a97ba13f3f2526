"""`dewy retry`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from, version_argument
from .verb import operate


@click.command("retry", short_help="Let VERSION out of quarantine.")
@options_for("retry")
@version_argument(required=True)
@click.pass_context
def command(ctx: click.Context, /, version: str, **given: object) -> None:
    """
    Let VERSION out of quarantine.

    It is deployed again if it is the newest release; while a newer one is in
    quarantine, `dewy deploy VERSION` deploys it.
    """
    operate(settings_from(ctx), "retry", version)
