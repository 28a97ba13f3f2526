"""Showing something again and again, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress

import click

from ..errors import DewyError
from .output import as_json

__all__ = ["refresh"]

REFRESH = 2.0
"""Seconds between two looks."""

CLEAR = "\x1b[H\x1b[2J"


def refresh(show: Callable[[], str], *, json_: bool) -> None:
    """Print what *show* returns; a failure is shown too, for it may pass."""
    with suppress(KeyboardInterrupt):
        while True:
            text = _shown_or_problem(show, json_)
            click.echo((CLEAR if sys.stdout.isatty() else "") + text)
            sys.stdout.flush()
            time.sleep(REFRESH)


def _shown_or_problem(show: Callable[[], str], json_: bool) -> str:
    # A dewy that is being restarted comes back.
    try:
        return show()
    except DewyError as exc:
        return as_json({"error": str(exc)}) if json_ else str(exc)
