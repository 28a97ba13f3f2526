"""The option `-C`, or a name, with which commands work in another root."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .. import loop
from ..config import Settings

__all__ = ["root_argument", "root_option"]


def root_option() -> click.Option:
    """Return the option `-C DIR`: change to that directory before anything is read."""
    return click.Option(
        ["-C", "--root", "root"],
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=_change,
        help="Work in this directory instead of the current one; the name of a "
        "running dewy stands for its directory.",
    )


def root_argument() -> click.Argument:
    """Return the argument NAME of commands that take no other: as `-C NAME`."""
    return click.Argument(
        ["root_name"],
        metavar="[NAME]",
        required=False,
        expose_value=False,
        is_eager=True,
        callback=_change,
    )


def _change(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None or ctx.resilient_parsing:
        return
    if not value:
        # It comes of a variable that is not set, and must not be taken for none.
        what = "a directory, or the name of a dewy that runs"
        raise click.BadParameter(f"must be {what}, not empty", ctx, param)
    try:
        os.chdir(_directory(value, _spelled(param)))
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise click.UsageError(f"{_spelled(param)}{value}: {reason}", ctx) from exc


def _spelled(param: click.Parameter) -> str:
    return "--root " if isinstance(param, click.Option) else ""


def _directory(value: str, spelled: str) -> Path:
    """
    Return the directory *value*, or the root of the dewy of that name.

    Raises:
        UsageError: *value* is neither, or the name of more than one dewy.
    """
    if "/" in value or Path(value).is_dir():
        return Path(value)
    from ..admin.discovery import everywhere

    found = loop.run(everywhere(Settings.admin_port))
    roots = {str(e.status["root"]) for e in found if e.status.get("name") == value}
    if not roots:
        raise click.UsageError(
            f"{spelled}{value}: there is no such directory, and no dewy of that name "
            "runs (`dewy ps` lists those that do)"
        )
    if len(roots) > 1:
        where = ", ".join(sorted(roots))
        raise click.UsageError(f"{spelled}{value}: dewys of that name run in {where}")
    return Path(roots.pop())
