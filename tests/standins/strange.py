"""What no text for people may hold: what only a Python programmer reads."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import dewy

PACKAGE = Path(dewy.__file__).parent
REPR = re.compile(
    r"<[A-Za-z_.]+[ :>]\w|<[A-Z]\w+>|\bobject at 0x|\b(?:True|False|None)\b"
    r"|Connect call failed|\[Errno|\('[\w.:]+', \d+|\b(?:frozenset|deque|dict_\w+)\("
    r"|\b[A-Z][A-Za-z]+\(\w+="
)


@cache
def internal() -> frozenset[str]:
    """The names of dewy's classes that are no words: of two capitals or more."""
    trees = (ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py"))
    return frozenset(
        node.name.strip("_")
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        if re.match(r"_?[A-Z][a-z]+[A-Z]", node.name)
    )


def strange(text: str) -> list[str]:
    """Return what of *text* is a repr, or the name of one of dewy's classes."""
    words = set(re.findall(r"\w+", text)) & internal()
    return [found[0] for found in REPR.finditer(text)] + sorted(words)
