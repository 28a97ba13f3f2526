"""Parts shared by the commands that change a root."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from .. import loop
from ..config import Settings
from ..errors import DewyError
from .output import localised

PATIENCE = 60.0

OF_PROXIES = frozenset({"pause", "resume"})

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
    answer = loop.run(_asked(settings, verb, args))
    click.echo(localised(str(answer["message"])))


async def _asked(
    settings: Settings, verb: str, args: Mapping[str, Any]
) -> Mapping[str, object]:
    from ..admin.address import PROXY_SOCKET
    from ..admin.client import NotRunning, ask

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
