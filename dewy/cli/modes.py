"""The commands that run until they are stopped: server, assets, container, proxy."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace

import click

from .. import loop
from ..config import Settings
from .arguments import options_for, reread, settings_from

log = logging.getLogger(__name__)


def serve(settings: Settings, reread: Callable[[], Settings] | None = None) -> int:
    """Run the daemon to its end; its exit status. *reread* is for `dewy reload`."""
    from .. import daemon

    for caution in settings.cautions:
        log.warning("%s", caution)
    # Until the loop is closed, too: that waits for tasks and threads.
    with daemon.LastResort() as last_resort:
        return loop.run(daemon.run(settings, reread, last_resort))


@click.command("server", short_help="Supervise a program and keep it up to date.")
@options_for("server")
@click.argument(
    "program", nargs=-1, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGS]..."
)
@click.pass_context
def server(ctx: click.Context, /, program: tuple[str, ...], **given: object) -> int:
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


@click.command("assets", short_help="Keep the files in ./current up to date.")
@options_for("assets")
@click.argument("ignored", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def assets(ctx: click.Context, /, ignored: tuple[str, ...], **given: object) -> int:
    """Unpack each new release and point the link `current` at it."""
    settings = settings_from(ctx)
    return serve(settings, reread(ctx))


@click.command("container", short_help="Run an image, in replicas behind a TCP proxy.")
@options_for("container")
@click.argument(
    "run_options", nargs=-1, type=click.UNPROCESSED, metavar="-- [RUN OPTIONS]..."
)
@click.pass_context
def container(
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


@click.command("proxy", short_help="Pass TCP connections on to backends.")
@options_for("proxy")
@click.pass_context
def proxy(ctx: click.Context, /, **given: object) -> int:
    """
    Pass connections on to the backends in turn, byte for byte.

    SIGHUP, or `dewy reload`, reads ./dewy.toml anew: listeners and backends come
    and go, and no open connection ends.

    Its HTTP API opens with --admin-port or --telemetry only.

    SIGTERM drains: no new connections, then the end with the last of those that
    are open, or after --drain-time, when the rest is reset. A second one ends it
    at once.
    """
    from ..daemon.proxy import Measured, beside
    from ..proxy.standalone import run

    settings = settings_from(ctx)
    for caution in settings.cautions:
        log.warning("%s", caution)
    return loop.run(run(settings, Measured(settings), reread(ctx), beside))
