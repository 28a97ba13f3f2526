"""`dewy assets`: keep a directory of files."""

from __future__ import annotations

import click

from .arguments import options_for, reread, settings_from
from .daemon import serve


@click.command("assets", short_help="Keep the files in ./current up to date.")
@options_for("assets")
@click.argument("ignored", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def command(ctx: click.Context, /, ignored: tuple[str, ...], **given: object) -> int:
    """Unpack each new release and point the link `current` at it."""
    settings = settings_from(ctx)
    return serve(settings, reread(ctx))
