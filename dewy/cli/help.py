"""`dewy help`."""

from __future__ import annotations

import click

from .arguments import normalise


@click.command("help", short_help="Show the help of a command.")
@click.argument("command_name", nargs=-1, metavar="[COMMAND]")
@click.pass_context
def command(ctx: click.Context, /, command_name: tuple[str, ...]) -> None:
    """Show the help of COMMAND; without one, list all commands."""
    root = ctx.find_root()
    if not command_name:
        click.echo(root.get_help())
        return
    group = root.command
    assert isinstance(group, click.Group)
    name, found, _ = group.resolve_command(root, normalise(command_name))
    assert found is not None
    with click.Context(found, info_name=name, parent=root) as described:
        click.echo(found.get_help(described))
