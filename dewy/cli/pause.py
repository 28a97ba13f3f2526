"""`dewy pause`."""

from __future__ import annotations

import click

from ..config.values import positive_duration
from .arguments import options_for, settings_from
from .verb import steer


@click.command("pause", short_help="Hold new connections back, until resume.")
@options_for("pause")
@click.option("--for", "time", metavar="TIME", help="Resume by itself after TIME.")
@click.pass_context
def command(ctx: click.Context, /, time: str | None, **given: object) -> None:
    """
    Hold new connections back at the proxy of `dewy container`, or at a `dewy proxy`.

    They wait in the kernel's queue; those that are open go on. A restart of dewy
    ends the pause.
    """
    settings = settings_from(ctx)
    seconds = None if time is None else positive_duration(time, "--for")
    steer(settings, "pause", seconds=seconds)
