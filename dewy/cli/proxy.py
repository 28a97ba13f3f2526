"""`dewy proxy`: the TCP proxy alone."""

from __future__ import annotations

import logging

import click

from .. import loop
from .arguments import options_for, reread, settings_from

log = logging.getLogger(__name__)


@click.command("proxy", short_help="Pass TCP connections on to backends.")
@options_for("proxy")
@click.pass_context
def command(ctx: click.Context, /, **given: object) -> int:
    """
    Pass connections on to the backends in turn, byte for byte.

    SIGHUP, or `dewy reload`, reads ./dewy.toml anew: listeners and backends come
    and go, and no open connection ends.

    Its HTTP API opens with --admin-port or --telemetry only.

    SIGTERM drains: no new connections, then the end with the last of those that
    are open, or after --drain-time, when the rest is reset. A second one ends it
    at once.
    """
    from ..daemon.proxy_control import beside
    from ..proxy.standalone import run
    from .measuring import Measured

    settings = settings_from(ctx)
    for caution in settings.cautions:
        log.warning("%s", caution)
    return loop.run(run(settings, Measured(settings), reread(ctx), beside))
