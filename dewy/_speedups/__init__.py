"""
The data plane: compiled where possible, pure Python everywhere else.

`DEWY_NO_EXTENSIONS=1` chooses the pure twins;
`DEWY_REQUIRE_EXTENSIONS=1` turns a missing extension into an error.
"""

from __future__ import annotations

import os
from importlib import import_module

from .interface import RelayProtocol

__all__ = ["COMPILED", "EXTENSIONS", "PROBLEM", "Relay"]

# The modules built from `_speedups/*.pyx`; each has a pure twin beside this file.
EXTENSIONS: tuple[str, ...] = ("relay_c",)


def _load() -> tuple[bool, str]:
    """
    Load the extensions.

    Return whether they serve, and why not where they are there: built for another
    interpreter, for one.
    """
    if os.environ.get("DEWY_NO_EXTENSIONS") or not EXTENSIONS:
        return False, ""
    try:
        for name in EXTENSIONS:
            import_module(f".{name}", __name__)
    except ImportError as exc:
        if os.environ.get("DEWY_REQUIRE_EXTENSIONS"):
            raise
        missing = isinstance(exc, ModuleNotFoundError)
        return False, "" if missing else str(exc)
    return True, ""


COMPILED, PROBLEM = _load()

Relay: type[RelayProtocol]
if COMPILED:
    from .relay_c import Relay
else:
    from .relay_py import Relay
