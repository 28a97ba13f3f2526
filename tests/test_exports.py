"""Each package says in one place what it offers."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import dewy

PACKAGE = Path(dewy.__file__).parent


def facades() -> list[str]:
    """The packages that offer something, by their dotted names."""
    found = []
    for path in PACKAGE.rglob("__init__.py"):
        if len(ast.parse(path.read_text(encoding="utf-8")).body) > 1:
            relative = path.parent.relative_to(PACKAGE)
            found.append(".".join(("dewy", *relative.parts)))
    return sorted(found)


@pytest.mark.parametrize("name", facades())
def test_package_all_lists_existing_names_once(name: str) -> None:
    """`__all__` is there, without repetition, and true (ruff keeps it sorted)."""
    package = import_module(name)
    offered = package.__all__

    assert len(set(offered)) == len(offered)
    assert [] == [word for word in offered if not hasattr(package, word)]
