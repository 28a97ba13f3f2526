"""
The option table as click options, and what click hands over as `Settings`.

Options may stand before the command or after it. Of one given twice the later
counts, and lists are joined; so every option collects all of its values.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from .. import __version__, logs, loop
from .._speedups import COMPILED
from ..config import Settings, examine, resolve, resolve_anyway
from ..config.settings import (
    COMMANDS,
    OPTIONS,
    Option,
    options_of,
    options_without_effect,
)
from ..errors import ConfigError
from .output import YELLOW, coloured

__all__ = [
    "ARGUMENTS",
    "examined_from",
    "group_options",
    "normalise",
    "options_for",
    "reread",
    "settings_from",
    "version_argument",
]

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger(__name__)

ARGUMENTS = "dewy.arguments"
"""Key of the whole command line in the metadata of a context."""

REREAD = "dewy.reread"
"""Key of the function that reads the settings once more, beside it."""

KEEPERS = frozenset({"server", "assets", "container", "proxy", "check", "init"})
"""Commands that start by their options, or judge them: a mistake in them is fatal."""

_SHORT_WITH_EQUALS = re.compile(r"(-[A-Za-z])=(.*)", re.DOTALL)
_NEGATIVE = re.compile(r"-[0-9]")


def options_for(command: str) -> Callable[[F], F]:
    """Decorate a command with the options that have a meaning for it."""
    own = [_click_option(option) for option in options_of(command)]
    foreign = [_click_option(option, hidden=True) for option in _foreign(command)]
    return _decorate([*own, *foreign, _version()])


def _foreign(command: str) -> list[Option]:
    """Return the options that *command* takes without saying so in its help."""
    if command != "check":
        return options_without_effect(command)
    known = {option.name for option in options_of("check")}
    return [each for each in options_of("proxy") if each.name not in known]


def version_argument(*, required: bool) -> Callable[[F], F]:
    """
    Decorate a command with VERSION.

    An empty VERSION is refused: it comes from an unset variable, and must not count as
    none.
    """

    def filled(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise click.BadParameter("must be a version, not empty")
        return value

    return click.argument("version", required=required, callback=filled)


def group_options() -> list[click.Option]:
    """Return all options, for command lines that put them before the command."""
    options = OPTIONS.values()
    return [
        *(_click_option(each, hidden=each.commands != COMMANDS) for each in options),
        _version(),
    ]


def _decorate(options: list[click.Option]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        # Click's own decorators leave parameters here for the command to take.
        params = function.__dict__.setdefault("__click_params__", [])
        params.extend(reversed(options))
        return function

    return decorate


def _click_option(option: Option, *, hidden: bool = False) -> click.Option:
    names = [f"--{option.name}", option.name.replace("-", "_")]
    if option.short:
        names.insert(0, f"-{option.short}")
    default = f"  [default: {option.default}]" if option.default else ""
    help, metavar = option.help + default, option.kind.metavar
    if not metavar:
        return click.Option(names, is_flag=True, help=help, hidden=hidden)
    return click.Option(names, multiple=True, metavar=metavar, help=help, hidden=hidden)


def _version() -> click.Option:
    return click.Option(
        ["-v", "--version", "show_version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Show the version and exit.",
    )


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        build = {"version": __version__, "relay": relay(), "loop": loop.name()}
        if _wants_json(ctx.meta.get(ARGUMENTS, ())):
            # The original's form, which scripts read.
            logs.configure("info", "json")
            log.info("Dewy version", extra=build)
        else:
            click.echo(f"dewy version: {__version__} [{relay()}, {loop.name()}]")
        ctx.exit()


def _wants_json(arguments: Sequence[str]) -> bool:
    """Return whether *arguments*, not parsed yet, hold `--log-format json`."""
    joined = " ".join(arguments).replace("=", " ")
    return re.search(r"(?:^| )(?:--log-format|-f) ?json\b", joined, re.I) is not None


def relay() -> str:
    """Return which of the two relays is in use."""
    return "compiled" if COMPILED else "pure Python"


def settings_from(
    ctx: click.Context, program: Sequence[str] = (), run_options: Sequence[str] = ()
) -> Settings:
    """
    Return the settings of the command *ctx* is about; logs are configured by them.

    Raises:
        UsageError: an option before the command has no meaning for it.
        ConfigError: a value that was given is invalid.
    """
    command = ctx.info_name or ""
    given = _given(ctx)
    for name in _unknown(command, given):
        raise click.UsageError(f"{command} has no option --{name}", ctx)
    words = {"program": tuple(program), "run-options": tuple(run_options)}

    def read() -> Settings:
        return resolve(command, {**given, **words}, os.environ, root)

    root = Path.cwd()
    if command in KEEPERS:
        settings = read()
    else:
        everything = {**given, **words}
        settings, mistakes = resolve_anyway(command, everything, os.environ, root)
        _warn(() if _told_later(command, settings) else mistakes)
    logs.configure(settings.log_level, settings.log_format)
    ctx.meta[REREAD] = read
    return settings


def _told_later(command: str, settings: Settings) -> bool:
    """Return whether mistakes are an error of *command*, and no warning before it."""
    # Of `reload` the dewy that runs tells them, and refuses; `doctor` has them below.
    return command in ("doctor", "reload") or (
        command == "deploy" and bool(settings.registry_unread)
    )


def _warn(mistakes: Iterable[ConfigError]) -> None:
    for each in mistakes:
        text = f"dewy: warning: {each}; going on without it"
        told = coloured(logs.redactor(os.environ)(text), YELLOW)
        click.echo(told, err=True)


def examined_from(
    ctx: click.Context, command: str, words: Sequence[str]
) -> tuple[Settings, list[ConfigError]]:
    """
    Return the settings *command* would have with *ctx*'s options, and each mistake.

    *words* are what stands after the options.
    """
    given = _given(ctx)
    rest = {"run-options": tuple(words), "program": tuple(words)}
    settings, mistakes = examine(command, {**given, **rest}, os.environ, Path.cwd())
    logs.configure(settings.log_level, settings.log_format)
    unknown = _unknown(command, given)
    return settings, [
        *(ConfigError(f"{command} has no option --{name}") for name in unknown),
        *mistakes.errors,
    ]


def _given(ctx: click.Context) -> dict[str, Any]:
    return _joined(ctx.parent.params if ctx.parent else {}, ctx.params)


def _unknown(command: str, given: Iterable[str]) -> list[str]:
    """Return the options *command* neither has nor accepts."""
    accepted = [*options_of(command), *options_without_effect(command)]
    meant = {option.name for option in accepted}
    return [name for name in given if name not in meant]


def reread(ctx: click.Context) -> Callable[[], Settings]:
    """Return the function that reads the settings of *ctx* once more."""
    return cast("Callable[[], Settings]", ctx.meta[REREAD])


def _joined(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in OPTIONS:
        key = name.replace("-", "_")
        first, second = before.get(key) or (), after.get(key) or ()
        if first is True or second is True:
            given[name] = True
        elif values := (*first, *second):
            given[name] = values
    return given


def normalise(arguments: Sequence[str]) -> list[str]:
    """
    Rewrite `-o=value` as `-ovalue`, up to `--` or the end.

    Raises:
        UsageError: an option is followed by another where its value should be.
    """
    spelled: list[str] = []
    words = iter(enumerate(arguments))
    for index, word in words:
        if word == "--":
            return [*spelled, *arguments[index:]]
        match = _SHORT_WITH_EQUALS.fullmatch(word)
        spelled += _attached(match[1], match[2]) if match else [word]
        if word in _VALUED and index + 1 < len(arguments):
            spelled.append(_value(word, arguments[index + 1]))
            next(words)
    return spelled


def _attached(flag: str, value: str) -> list[str]:
    return [flag + value] if value else [flag, ""]


def _value(option: str, word: str) -> str:
    if word.startswith("-") and len(word) > 1 and not _NEGATIVE.match(word):
        raise click.UsageError(
            f"{option} needs a value; one that starts with a dash "
            f"is written {option}={word}"
        )
    return word


_VALUED = {
    word
    for option in OPTIONS.values()
    if option.kind.metavar
    for word in (f"--{option.name}", f"-{option.short}")
    if word != "-"
} | {"-C", "--root"}
