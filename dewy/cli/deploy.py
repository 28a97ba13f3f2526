"""`dewy deploy`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from, version_argument
from .verb import operate


@click.command("deploy", short_help="Deploy VERSION, or the newest release, now.")
@options_for("deploy")
@version_argument(required=False)
@click.pass_context
def command(ctx: click.Context, /, version: str | None, **given: object) -> None:
    """
    Deploy VERSION, or the newest release, now.

    Where no dewy runs, the next start deploys it.
    """
    operate(settings_from(ctx), "deploy", version)
