"""`dewy rollback`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from, version_argument
from .verb import operate


@click.command("rollback", short_help="Go back to VERSION, or to the previous release.")
@options_for("rollback")
@version_argument(required=False)
@click.pass_context
def command(ctx: click.Context, /, version: str | None, **given: object) -> None:
    """
    Go back to VERSION, or to the previous release.

    What is left is not deployed again until `dewy retry`; works under hold. Said again,
    it goes further back; just after dewy itself went back, it only says so.
    """
    operate(settings_from(ctx), "rollback", version)
