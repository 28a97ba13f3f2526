"""What a manifest vouches for. How the shelf is used is tested with the fetcher."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from dewy.deploy.shelf import Manifest
from dewy.release import Release

MANIFEST = Manifest(
    sha256="ab" * 32,
    size=7,
    identity="file:7:1:2",
    verified="auto",
    published_at="2031-02-03T04:05:06+00:00",
    published_by="web-01",
)
RELEASE = Release("v1.0.0", "file:///app.tgz", "file:7:1:2")


def test_manifest_is_read_as_it_was_written() -> None:
    assert MANIFEST == Manifest.parse(json.dumps(asdict(MANIFEST)).encode())


def test_field_of_a_later_dewy_is_no_obstacle() -> None:
    text = json.dumps({**asdict(MANIFEST), "compressed": True}).encode()

    assert MANIFEST == Manifest.parse(text)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"7", b"{}", b"\xff", b"[" * 200_000],
    ids=lambda t: repr(t)[:9],
)
def test_anything_else_is_no_manifest(text: bytes) -> None:
    assert Manifest.parse(text) is None


def test_manifest_vouches_for_the_content_it_was_made_for() -> None:
    assert MANIFEST.vouches_for(RELEASE, "auto")
    assert not MANIFEST.vouches_for(replace(RELEASE, identity="file:7:1:3"), "auto")


def test_stated_digest_has_to_agree() -> None:
    other = f"sha256:{'cd' * 32}"

    assert MANIFEST.vouches_for(replace(RELEASE, digest=f"sha256:{'ab' * 32}"), "auto")
    assert not MANIFEST.vouches_for(replace(RELEASE, digest=other), "auto")


@pytest.mark.parametrize(
    ("verified", "mode", "enough"),
    [
        ("off", "off", True),
        ("off", "auto", False),
        ("auto", "off", True),
        ("auto", "required", False),
        ("required", "auto", True),
        ("required", "required", True),
        ("nonsense", "off", False),
    ],
)
def test_verification_has_to_have_been_as_strict(
    verified: str, mode: str, enough: bool
) -> None:
    manifest = replace(MANIFEST, verified=verified)

    assert enough == manifest.vouches_for(RELEASE, mode)
