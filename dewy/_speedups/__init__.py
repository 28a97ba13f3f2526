"""
The data plane: compiled where possible, pure Python everywhere else.

`DEWY_NO_EXTENSIONS=1` chooses the pure twins;
`DEWY_REQUIRE_EXTENSIONS=1` turns a missing extension into an error.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["COMPILED", "EXTENSIONS", "Relay"]

# The modules built from `_speedups/*.pyx`; each has a pure twin beside this file.
EXTENSIONS: tuple[str, ...] = ("relay_c",)


def _compiled() -> bool:
    if os.environ.get("DEWY_NO_EXTENSIONS") or not EXTENSIONS:
        return False
    try:
        for name in EXTENSIONS:
            import_module(f".{name}", __name__)
    except ImportError:
        if os.environ.get("DEWY_REQUIRE_EXTENSIONS"):
            raise
        return False
    return True


COMPILED = _compiled()

if TYPE_CHECKING or COMPILED:
    from .relay_c import Relay
else:
    from .relay_py import Relay
