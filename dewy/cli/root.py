"""The option `-C`, with which every command works in another root."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .. import loop
from ..config import DEFAULT_ADMIN_PORT

__all__ = ["root_option"]


def root_option() -> click.Option:
    """Return the option `-C DIR`: change to that directory before anything is read."""
    return click.Option(
        ["-C", "--root", "root"],
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=_change,
        help="Work in this directory instead of the current one; the name of a dewy "
        "that runs stands for its own.",
    )


def _change(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None or ctx.resilient_parsing:
        return
    try:
        os.chdir(_directory(value))
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise click.UsageError(f"--root {value}: {reason}", ctx) from exc


def _directory(value: str) -> Path:
    """
    Return the directory *value*, or the root of the dewy of that name.

    Raises:
        UsageError: *value* is neither, or the name of more than one dewy.
    """
    if "/" in value or not value or Path(value).is_dir():
        return Path(value)
    from ..admin.discovery import everywhere

    found = loop.run(everywhere(DEFAULT_ADMIN_PORT))
    roots = {str(e.status["root"]) for e in found if e.status.get("name") == value}
    if not roots:
        raise click.UsageError(
            f"--root {value}: there is no such directory, and no dewy of that name runs"
        )
    if len(roots) > 1:
        where = ", ".join(sorted(roots))
        raise click.UsageError(f"--root {value}: dewys of that name run in {where}")
    return Path(roots.pop())
