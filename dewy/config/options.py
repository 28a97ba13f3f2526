"""Options: flag, `DEWY_…` variable and key of `dewy.toml` in one."""

from __future__ import annotations

from .option import COMMANDS, INIT, LIST, ORIGINAL_COMMANDS, RUN, VERB, Option, declared
from .settings import Settings

__all__ = [
    "COMMANDS",
    "LIST",
    "OPTIONS",
    "ROWS",
    "Option",
    "options_of",
    "options_without_effect",
    "reloadable",
]

ROWS = tuple(declared(Settings))

# Rows of one name for several commands are written alike.
OPTIONS = {
    option.name: option
    for option in ROWS
    if option is next(row for row in ROWS if row.name == option.name)
}


def options_of(command: str) -> list[Option]:
    """Return the options that have a meaning for *command*."""
    if command == INIT:
        return [option for option in OPTIONS.values() if option.commands & RUN]
    taker = command if command in COMMANDS else VERB
    return [option for option in ROWS if taker in option.commands]


def options_without_effect(command: str) -> list[Option]:
    """Return the options *command* accepts, as the original does, without a meaning."""
    if command not in ORIGINAL_COMMANDS:
        return []
    meant = {option.name for option in options_of(command)}
    rows = OPTIONS.values()
    return [row for row in rows if row.original and row.name not in meant]


def reloadable(command: str) -> frozenset[str]:
    """Return the settings whose change a running *command* takes over on reload."""
    return frozenset(row.setting for row in ROWS if command in row.reloadable)
