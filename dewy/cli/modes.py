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
    """
    Run the daemon to its end, and return its exit status. *reread* is for `dewy
    reload`.
    """
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
    Run PROGRAM from the newest release, and replace it with each newer one.

    Each new release starts beside the old one on the same listening sockets; the old
    one stops when the new one is ready. No request is lost if PROGRAM finishes its
    open requests on SIGTERM, on kept-alive connections too; one that just exits loses
    one request per kept-alive connection.
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


@click.command("container", short_help="Run replicas of an image behind a TCP proxy.")
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

    A new version starts beside the old one. Each new replica gets connections as soon
    as it is healthy, so both versions serve for a while; once all are healthy, the old
    replicas stop. No request is lost if the application finishes its open requests on
    SIGTERM, on kept-alive connections too; one that just exits loses one request per
    kept-alive connection. RUN OPTIONS are those of `docker run`: -e KEY=VALUE,
    --memory 512m, -v DIR:DIR …

    `dewy container list` lists the containers in service.
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
    Pass TCP connections on to backends, byte for byte.

    SIGHUP or `dewy reload` rereads ./dewy.toml: listeners and backends come and go
    without ending an open connection.

    The local HTTP API opens only with --admin-port or --telemetry.

    SIGTERM drains: the proxy accepts no more connections and exits with the last open
    one, or resets the rest after --drain-time. A second SIGTERM resets at once.
    """
    from ..daemon.proxy import Measured, beside
    from ..proxy.standalone import run

    settings = settings_from(ctx)
    for caution in settings.cautions:
        log.warning("%s", caution)
    return loop.run(run(settings, Measured(settings), reread(ctx), beside))
