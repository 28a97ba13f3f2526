"""The command `dewy` itself, whose commands are loaded when used."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import cast

import click

from ..admin.verbs import VERBS
from ..config.settings import LIST
from .arguments import ARGUMENTS, group_options, normalise
from .root import root_argument, root_option

__all__ = ["LazyGroup", "dewy"]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# In the order of a first acquaintance.
COMMANDS = (
    "demo",
    "server",
    "assets",
    "container",
    "proxy",
    "init",
    "check",
    "doctor",
    "status",
    "history",
    "why",
    "logs",
    "exec",
    *VERBS,
    "ps",
    "completion",
    "help",
)

SHARED = {
    **dict.fromkeys(("server", "assets", "container", "proxy"), "modes"),
    **dict.fromkeys(VERBS, "verbs"),
}
"""Modules of several commands; any other command has one of its own name."""

NAMED = {"doctor", "history", "logs", "status"} | {
    name for name, verb in VERBS.items() if not verb.version
}
"""Commands that are about a root and take no word of their own: they take its name."""


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in (*COMMANDS, LIST):
            return None
        command = _imported(cmd_name)
        if not any(param.name == "root" for param in command.params):
            command.params.append(root_option())
            if cmd_name in NAMED:
                command.params.append(root_argument())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[:2] == LIST.split():
            return super().resolve_command(ctx, [LIST, *args[2:]])
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing:
            near = get_close_matches(name, COMMANDS, 1)
            hint = (
                f"did you mean {near[0]}?" if near else f"known: {', '.join(COMMANDS)}"
            )
            ctx.fail(f"there is no command {name!r} ({hint})")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, normalise(args))


def _imported(name: str) -> click.Command:
    if shared := SHARED.get(name):
        found = getattr(import_module(f".{shared}", __package__), name)
    else:
        module = import_module(f".{name.replace(' ', '_')}", __package__)
        found = module.command
    return cast("click.Command", found)


dewy = LazyGroup(
    "dewy",
    help="Keep one application on one host at its newest release, by pulling.",
    epilog="`dewy COMMAND --help` lists the options of a command; they may also stand "
    "before it. Each option is also an environment variable (--log-level: "
    "DEWY_LOG_LEVEL) and a key of ./dewy.toml (log-level).",
    context_settings=CONTEXT,
    params=[*group_options(), root_option()],
    no_args_is_help=False,
    subcommand_metavar="COMMAND [OPTIONS] [-- PROGRAM [ARGS]...]",
)
