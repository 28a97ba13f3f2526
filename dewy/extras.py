"""Extras of the distribution: optional dependencies, and how to install them."""

from __future__ import annotations

import shlex
import sys

__all__ = ["install_hint"]


def install_hint(extra: str) -> str:
    """
    Return the command that installs what *extra* needs for this interpreter.

    It names the dependencies rather than dewy: on the public index, that name belongs
    to another project.
    """
    # Read only here: it takes longer to load than most commands to run.
    from importlib.metadata import PackageNotFoundError, requires

    try:
        stated = requires("dewy") or []
    except PackageNotFoundError:
        stated = []
    parts = (each.partition(";") for each in stated)
    wanted = [
        name.strip()
        for name, _, marker in parts
        if marker.replace("'", '"').rpartition("extra == ")[2].strip(' ")') == extra
    ]
    if not wanted:
        return f"install dewy from its wheel or checkout with the extra {extra!r}"
    return shlex.join([sys.executable, "-m", "pip", "install", *wanted])
