"""The commands that change a root, or a dewy that runs there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from .. import loop
from ..config import Settings
from ..config.values import positive_duration
from ..errors import DewyError
from .arguments import options_for, settings_from, version_argument
from .output import localised

PATIENCE = 60.0

OF_PROXIES = frozenset({"pause", "resume"})


def operate(settings: Settings, verb: str, version: str | None = None) -> None:
    """Have *verb* done, by the dewy that runs or without one, and print what came."""
    from ..admin import operate

    told = operate.operate(settings, verb, version, progress=_print_step)
    click.echo(localised(loop.run(told)))


def _print_step(text: str) -> None:
    # A pipe would keep it until the end.
    click.echo(f"  {localised(text)}")
    sys.stdout.flush()


def steer(settings: Settings, verb: str, **args: object) -> None:
    """Have the dewy that runs here do *verb*, and print what came of it."""
    answer = loop.run(_asked(settings, verb, args))
    click.echo(localised(str(answer["message"])))


async def _asked(
    settings: Settings, verb: str, args: Mapping[str, Any]
) -> Mapping[str, object]:
    from ..admin.client import NotRunning, ask
    from ..admin.control import PROXY_SOCKET

    # The dewy of a root may be one without a proxy, and a proxy run beside it.
    elsewhere = DewyError if verb in OF_PROXIES else NotRunning
    try:
        return await ask(settings.private, verb, PATIENCE, None, **args)
    except elsewhere as none:
        try:
            return await ask(
                settings.private, verb, PATIENCE, None, through=PROXY_SOCKET, **args
            )
        except NotRunning:
            raise none from None


@click.command("deploy", short_help="Deploy VERSION, or the newest release, now.")
@options_for("deploy")
@version_argument(required=False)
@click.pass_context
def deploy(ctx: click.Context, /, version: str | None, **given: object) -> None:
    """
    Deploy VERSION, or the newest release, now.

    Where no dewy runs, the next start deploys it.
    """
    operate(settings_from(ctx), "deploy", version)


@click.command("rollback", short_help="Go back to VERSION, or to the previous release.")
@options_for("rollback")
@version_argument(required=False)
@click.pass_context
def rollback(ctx: click.Context, /, version: str | None, **given: object) -> None:
    """
    Go back to VERSION, or to the previous release.

    The version that was running goes into quarantine until `dewy retry`. Works under
    hold. A second rollback goes further back; right after an automatic rollback, the
    command only reports that one.
    """
    operate(settings_from(ctx), "rollback", version)


@click.command("retry", short_help="Take VERSION out of quarantine.")
@options_for("retry")
@version_argument(required=True)
@click.pass_context
def retry(ctx: click.Context, /, version: str, **given: object) -> None:
    """
    Take VERSION out of quarantine.

    The version is deployed again if it is the newest release; while a newer one is in
    quarantine, `dewy deploy VERSION` deploys it.
    """
    operate(settings_from(ctx), "retry", version)


@click.command("abort", short_help="Cancel the deployment under way.")
@options_for("abort")
@click.pass_context
def abort(ctx: click.Context, /, **given: object) -> None:
    """
    Cancel the deployment under way, if it has not taken over yet.

    The running version goes on. The cancelled one is not quarantined: the next poll
    tries it again, except under `dewy hold`.
    """
    operate(settings_from(ctx), "abort")


@click.command("hold", short_help="Stay at the current version until unhold.")
@options_for("hold")
@click.pass_context
def hold(ctx: click.Context, /, **given: object) -> None:
    """
    Stay at the current version until `dewy unhold`.

    The running version is still restarted when it dies, and rolled back when it fails
    its probation or on `dewy rollback`. Where nothing runs yet, the first release is
    still deployed.
    """
    operate(settings_from(ctx), "hold")


@click.command("unhold", short_help="End a hold.")
@options_for("unhold")
@click.pass_context
def unhold(ctx: click.Context, /, **given: object) -> None:
    """
    End a hold.

    The next poll deploys the newest release.
    """
    operate(settings_from(ctx), "unhold")


@click.command("pause", short_help="Hold new connections back until resume.")
@options_for("pause")
@click.option("--for", "time", metavar="TIME", help="Resume automatically after TIME.")
@click.pass_context
def pause(ctx: click.Context, /, time: str | None, **given: object) -> None:
    """
    Hold new connections back at the proxy of `dewy container`, or at a `dewy proxy`.

    New connections wait in the kernel's queue; open ones go on. A restart of dewy ends
    the pause.
    """
    settings = settings_from(ctx)
    seconds = None if time is None else positive_duration(time, "--for")
    steer(settings, "pause", seconds=seconds)


@click.command("resume", short_help="Accept connections again after pause.")
@options_for("resume")
@click.pass_context
def resume(ctx: click.Context, /, **given: object) -> None:
    """Accept connections again after `dewy pause`, those that waited first."""
    steer(settings_from(ctx), "resume")


@click.command("reload", short_help="Have the running dewy reread its configuration.")
@options_for("reload")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would change and be replaced; change nothing.",
)
@click.pass_context
def reload(ctx: click.Context, /, dry_run: bool, **given: object) -> None:
    """
    Have the dewy that runs here reread its configuration, as SIGHUP does.

    Container mode applies changed options and env files, and replaces replicas where
    needed. Server mode starts a new generation of the program; options take effect at
    the next restart of dewy. A proxy opens and closes listeners and changes backends
    without ending a connection. The answer names what changed and what takes a restart.
    """
    if dry_run:
        steer(settings_from(ctx), "reload", dry=True)
    else:
        steer(settings_from(ctx), "reload")
