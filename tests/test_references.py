"""Each scheme of a registry, an artifact store or a cache has a page of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.caches import CACHES
from dewy.registries import REGISTRIES

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
PAGES = {
    "consul": ["consul-cache"],
    "file": ["file-registry", "file-cache"],
    "ghr": ["github-registry"],
    "grpc": ["grpc-registry"],
    "gs": ["gs"],
    "http": ["http-artifacts"],
    "https": ["http-artifacts"],
    "img": ["image-registry"],
    "mem": ["memory"],
    "redis": ["redis-cache"],
    "rediss": ["redis-cache"],
    "s3": ["s3"],
}
SAID = {
    "options": r"^\| option \| default \| \|$|there are no options",
    "environment": r"`[A-Z]+_[A-Z_]+`|`NETRC`|No variable is read",
    "permissions": r"[Pp]ermi(?:t|ssion)",
    "example": r"^```",
}

# Wheels may be tested without the rest of the checkout.
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the docs are elsewhere")


def test_every_scheme_has_a_page() -> None:
    known = {*REGISTRIES._entries, *ARTIFACTS._entries, *CACHES._entries}

    assert known == PAGES.keys()


@pytest.mark.parametrize(
    ("scheme", "page"), [(scheme, page) for scheme in PAGES for page in PAGES[scheme]]
)
def test_scheme_page_has_all_required_sections(scheme: str, page: str) -> None:
    """How it is written, options, environment, permissions, an example."""
    text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    missing = [what for what in SAID if not re.search(SAID[what], text, re.MULTILINE)]

    assert f"{scheme}://" in text
    assert [] == missing
