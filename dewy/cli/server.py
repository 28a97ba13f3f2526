"""`dewy server`: supervise a program."""

from __future__ import annotations

import os

import click

from .arguments import options_for, reread, settings_from
from .daemon import serve


@click.command("server", short_help="Supervise a program and keep it up to date.")
@options_for("server")
@click.argument(
    "program", nargs=-1, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGS]..."
)
@click.pass_context
def command(ctx: click.Context, /, program: tuple[str, ...], **given: object) -> int:
    """
    Run PROGRAM from the newest release, and replace it by each newer one.

    A new release is started beside the old one on the same listening sockets;
    the old one leaves when the new one is ready. No request is lost, provided that
    PROGRAM finishes what it has on SIGTERM, kept-alive connections included; one that
    just exits costs each client that keeps its connection a request.
    """
    from ..config.env_file import read_env_file

    settings = settings_from(ctx, program)
    for path in settings.env_files:
        read_env_file(settings.root / path, "--env-file", os.environ)
    return serve(settings, reread(ctx))
