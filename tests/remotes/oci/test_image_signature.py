from __future__ import annotations

import json
from typing import Any

import pytest

from dewy.remotes.oci.manifest import (
    MOST,
    ImageSignature,
    is_about,
    signatures_in,
    tag_of,
)
from tests.standins.image_signatures import Signed, manifest, payload
from tests.standins.pushed_images import digest_of

DIGEST = digest_of(b"image")


def test_signature_tag_follows_cosign_scheme() -> None:
    assert f"sha256-{'0' * 64}.sig" == tag_of(f"sha256:{'0' * 64}")


def test_signatures_are_read_with_the_newest_first() -> None:
    signed = [Signed(payload(DIGEST), b"AAAA"), Signed(b"another", b"AAAB")]
    found = signatures_in(json.dumps(manifest(*signed)).encode())

    assert (
        ImageSignature(digest_of(b"another"), b"\0\0\1"),
        ImageSignature(digest_of(payload(DIGEST)), b"\0\0\0"),
    ) == found


def test_no_more_than_the_newest_are_read() -> None:
    signed = [Signed(str(number).encode(), b"AAAA") for number in range(MOST + 5)]
    found = signatures_in(json.dumps(manifest(*signed)).encode())

    assert MOST == len(found)
    assert digest_of(str(MOST + 4).encode()) == found[0].payload


@pytest.mark.parametrize(
    "layer",
    [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar"},
        {"annotations": None},
        {"annotations": {"dev.cosignproject.cosign/signature": 5}},
        {"annotations": {"dev.cosignproject.cosign/signature": "*"}},
        {"digest": "../../v2/other/blobs/sha256:1"},
        {"digest": None},
    ],
)
def test_layer_that_is_no_signature_is_left_out(layer: dict[str, Any]) -> None:
    document = manifest(Signed(b"1", b"AAAA"), Signed(b"2", b"AAAB"))
    document["layers"][0] |= layer
    found = signatures_in(json.dumps(document).encode())

    assert [digest_of(b"2")] == [each.payload for each in found]


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"layers": 5}', b'{"layers": [5]}', b"[" * 99999]
)
def test_anything_else_holds_none(text: bytes) -> None:
    assert () == signatures_in(text)


def test_payload_matches_only_signed_image_digest() -> None:
    assert is_about(payload(DIGEST), DIGEST)
    for text in (
        payload(digest_of(b"another")),
        payload(DIGEST, kind="atomic container signature"),
        b"",
        b"5",
        b'{"critical": 5}',
        b'{"critical": {"type": 5, "image": 6}}',
    ):
        assert not is_about(text, DIGEST)
