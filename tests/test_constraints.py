"""The versions that `make` and CI install are known, and dewy asks for no others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"

# Wheels may be tested without the rest of the checkout.
pytestmark = pytest.mark.skipif(not CONSTRAINTS.is_file(), reason="no checkout")


def constraints() -> dict[str, str]:
    """Map each constrained distribution to its version."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in pairs}


def requirements() -> Iterator[Requirement]:
    """Yield every requirement of `pyproject.toml`, dewy on itself left out."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    document: dict[str, Any] = tomllib.loads(text)
    lists = [
        document["build-system"]["requires"],
        document["project"]["dependencies"],
        *document["project"]["optional-dependencies"].values(),
        *document["dependency-groups"].values(),
    ]
    texts = (each for listed in lists for each in listed if isinstance(each, str))
    yield from (found for found in map(Requirement, texts) if found.name != "dewy")


def test_constraints_are_versions_without_addresses() -> None:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    exact = re.compile(r"#.*|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*")

    assert len(lines) > 50
    assert [] == [line for line in lines if not exact.fullmatch(line)]
    assert "://" not in "".join(lines)


def test_every_requirement_is_constrained_to_allowed_version() -> None:
    """`dev/write-constraints` brings new ones in."""
    known = constraints()
    wrong = [
        str(each)
        for each in requirements()
        if not each.specifier.contains(
            known.get(canonicalize_name(each.name), ""), prereleases=True
        )
    ]

    assert [] == wrong
