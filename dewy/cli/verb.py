"""Parts shared by the commands that change a root."""

from __future__ import annotations

import sys

import click

from .. import loop
from ..config import Settings
from .output import localised

PATIENCE = 60.0

__all__ = ["operate", "steer"]


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
    from ..admin.client import ask

    answer = loop.run(ask(settings.private, verb, PATIENCE, None, **args))
    click.echo(localised(str(answer["message"])))
