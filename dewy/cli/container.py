"""`dewy container`: run an image behind a proxy."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from .arguments import options_for, reread, settings_from
from .daemon import serve


@click.command("container", short_help="Run an image, in replicas behind a TCP proxy.")
@options_for("container")
@click.argument(
    "run_options", nargs=-1, type=click.UNPROCESSED, metavar="-- [RUN OPTIONS]..."
)
@click.pass_context
def command(
    ctx: click.Context, /, run_options: tuple[str, ...], **given: object
) -> int:
    """
    Run replicas of the newest image behind dewy's proxy, in Docker or Podman.

    A new version is started beside the old one. Each of its replicas takes connections
    as soon as it is healthy, so both versions serve meanwhile; once all are, the old
    ones leave. No request is lost, provided that the application finishes what it
    has on SIGTERM, kept-alive connections included; one that just exits costs each
    client that keeps its connection a request. RUN OPTIONS are those of `docker run`:
    -e KEY=VALUE, --memory 512m, -v DIR:DIR …

    `dewy container list` shows the containers that serve.
    """
    from ..containers.options.arguments import parse

    settings = settings_from(ctx, run_options=run_options)
    asked = parse(settings.run_options, os.environ, settings.root)
    cautioned = replace(settings, cautions=(*settings.cautions, *asked.cautions))
    return serve(cautioned, reread(ctx))
