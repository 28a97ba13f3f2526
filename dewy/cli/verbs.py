"""The commands that change a root, or a dewy that runs there."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from .. import loop
from ..admin.verbs import VERBS
from ..config.values import positive_duration
from .arguments import options_for, settings_from, version_argument
from .output import localised


def _command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function the command of the verb *name*."""
    verb = VERBS[name]

    def decorate(function: Callable[..., None]) -> click.Command:
        function = click.pass_context(function)
        if verb.version:
            function = version_argument(required=verb.version == "required")(function)
        command = click.command(name, short_help=verb.help)
        return command(options_for(name)(function))

    return decorate


def _operate(ctx: click.Context, version: str | None = None) -> None:
    """Have the verb done, whether a dewy runs or not, and print the answer."""
    from ..admin import operate

    settings, verb = settings_from(ctx), str(ctx.info_name)
    told = operate.operate(settings, verb, version, progress=_print_step)
    click.echo(localised(loop.run(told)))


def _print_step(text: str) -> None:
    # A pipe would keep it until the end.
    click.echo(f"  {localised(text)}")
    sys.stdout.flush()


def _steer(ctx: click.Context, **args: object) -> None:
    """Have the dewy that runs here carry the verb out, and print the answer."""
    from ..admin.operate import steer

    told = steer(settings_from(ctx), str(ctx.info_name), **args)
    click.echo(localised(loop.run(told)))


@_command("deploy")
def deploy(ctx: click.Context, /, version: str | None, **given: object) -> None:
    """
    Deploy VERSION, or the newest release, now.

    Where no dewy runs, the next start deploys it.
    """
    _operate(ctx, version)


@_command("rollback")
def rollback(ctx: click.Context, /, version: str | None, **given: object) -> None:
    """
    Go back to VERSION, or to the previous release.

    The version that was running goes into quarantine until `dewy retry`. Works under
    hold. A second rollback goes further back; right after an automatic rollback, the
    command only reports that one.
    """
    _operate(ctx, version)


@_command("retry")
def retry(ctx: click.Context, /, version: str, **given: object) -> None:
    """
    Take VERSION out of quarantine.

    The version is deployed again if it is the newest release; while a newer one is in
    quarantine, `dewy deploy VERSION` deploys it.
    """
    _operate(ctx, version)


@_command("abort")
def abort(ctx: click.Context, /, **given: object) -> None:
    """
    Cancel the deployment under way, if it has not taken over yet.

    The running version goes on. The cancelled one is not quarantined: the next poll
    tries it again, except under `dewy hold`.
    """
    _operate(ctx)


@_command("hold")
def hold(ctx: click.Context, /, **given: object) -> None:
    """
    Stay at the current version until `dewy unhold`.

    The running version is still restarted when it dies, and rolled back when it fails
    its probation or on `dewy rollback`. Where nothing runs yet, the first release is
    still deployed.
    """
    _operate(ctx)


@_command("unhold")
def unhold(ctx: click.Context, /, **given: object) -> None:
    """
    End a hold.

    The next poll deploys the newest release.
    """
    _operate(ctx)


@_command("pause")
@click.option("--for", "time", metavar="TIME", help="Resume automatically after TIME.")
def pause(ctx: click.Context, /, time: str | None, **given: object) -> None:
    """
    Hold new connections back at the proxy of `dewy container`, or at a `dewy proxy`.

    New connections wait in the kernel's queue; open ones go on. A restart of dewy ends
    the pause.
    """
    seconds = None if time is None else positive_duration(time, "--for")
    _steer(ctx, seconds=seconds)


@_command("resume")
def resume(ctx: click.Context, /, **given: object) -> None:
    """Accept connections again after `dewy pause`, those that waited first."""
    _steer(ctx)


@_command("reload")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would change and be replaced; change nothing.",
)
def reload(ctx: click.Context, /, dry_run: bool, **given: object) -> None:
    """
    Have the dewy that runs here reread its configuration, as SIGHUP does.

    Container mode applies changed options and env files, and replaces replicas where
    needed. Server mode starts a new generation of the program; options take effect at
    the next restart of dewy. A proxy opens and closes listeners and changes backends
    without ending a connection. The answer names what changed and what takes a restart.
    """
    if dry_run:
        _steer(ctx, dry=True)
    else:
        _steer(ctx)
