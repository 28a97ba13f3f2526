"""Signs of life from a call that takes long."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[], None]


def _nobody_waits() -> None:
    pass


tell: Tell = _nobody_waits
"""Tells dewy that the call goes on; set in a helper process."""


def alive() -> None:
    """
    Say that this call makes progress.

    Called after each step of work whose whole may take minutes.
    """
    tell()
