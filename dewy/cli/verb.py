"""What the commands that change a root share."""

from __future__ import annotations

import click

from .. import loop
from ..config import Settings

__all__ = ["operate"]


def operate(settings: Settings, verb: str, version: str | None = None) -> None:
    """Have *verb* done, by the dewy that runs or without one, and print what came."""
    from ..admin import operate

    click.echo(loop.run(operate.operate(settings, verb, version)))
