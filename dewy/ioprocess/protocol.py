"""Messages between dewy and a helper process: a length, then a pickle."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
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
