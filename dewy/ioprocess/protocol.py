"""Messages between dewy and a helper process, and signs of life from a long call."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function, which both sides import by its name."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Returned:
    """The end of a call."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The failure of a call."""

    error: Exception


def encode(message: object) -> bytes:
    """Return the bytes of *message*, its length first."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


Tell = Callable[[], None]


def _nobody_waits() -> None:
    pass


teller: ContextVar[Tell] = ContextVar("teller", default=_nobody_waits)
"""Tells dewy that the call goes on; set in a helper process."""


def alive() -> None:
    """
    Say that this call makes progress.

    Called after each step of work whose whole may take minutes.
    """
    teller.get()()
