"""`dewy reload`."""

from __future__ import annotations

import click

from .arguments import options_for, settings_from
from .verb import steer


@click.command("reload", short_help="Have a running dewy read its configuration anew.")
@options_for("reload")
@click.option(
    "--dry-run", is_flag=True, help="Only tell what would change, and what it replaces."
)
@click.pass_context
def command(ctx: click.Context, /, dry_run: bool, **given: object) -> None:
    """
    Have the dewy that runs here read its configuration anew, as SIGHUP does.

    In container mode changed options, env files and numbers of replicas roll; the
    answer names what changed, and what takes a restart. In server mode a new
    generation of the program is started; all options take a restart of dewy, and
    the answer names those that changed. A proxy opens and closes listeners and
    takes in other backends, and no connection ends.
    """
    if dry_run:
        steer(settings_from(ctx), "reload", dry=True)
    else:
        steer(settings_from(ctx), "reload")
