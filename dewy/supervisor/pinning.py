"""Command line of a generation, with `current` replaced by its own release."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def pinned(program: Sequence[str], root: Path) -> list[str]:
    """
    Return *program* with paths through `current` leading to where it leads now.

    `current` moves while a program starts: when another release is tried, or when
    what serves has to be started again meanwhile. A program that opens its files a
    moment later must not find those of the other release. Only words that begin
    with `current/`, or with its absolute path, are paths for certain.
    """
    link = root / "current"
    target = os.path.realpath(link)
    if target == str(link) or not os.path.isdir(target):
        return list(program)
    relative = os.path.relpath(target, os.path.realpath(root))
    if relative.startswith(".."):
        relative = target
    return [
        _pin(_pin(word, "current/", relative), f"{link}/", target) for word in program
    ]


def release_of(root: Path) -> str:
    """Return the name of the release directory `current` leads to; "" without one."""
    try:
        return os.path.basename(os.readlink(root / "current").rstrip("/"))
    except OSError:
        return ""


def _pin(word: str, prefix: str, target: str) -> str:
    if not word.startswith(prefix):
        return word
    return f"{target}/{word.removeprefix(prefix)}"
