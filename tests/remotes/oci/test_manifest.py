"""What a tag stands for."""

from __future__ import annotations

import json

import pytest

from dewy.remotes.oci.manifest import Manifest, platforms_in


def index(*platforms: object) -> bytes:
    entries = [{"digest": "sha256:0", "platform": each} for each in platforms]
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def test_platforms_of_an_index_are_read_without_attestations() -> None:
    read = platforms_in(
        index(
            {"os": "linux", "architecture": "amd64"},
            {"os": "linux", "architecture": "arm", "variant": "v7"},
            {"os": "unknown", "architecture": "unknown"},
        )
    )

    assert ["linux/amd64", "linux/arm/v7"] == [str(each) for each in read]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        index(None),
        index({"os": "linux"}),
        index({"os": "linux", "architecture": 5}),
        index({"os": "linux", "architecture": "arm64"}, None),
    ],
)
def test_nothing_is_told_from_an_index_that_does_not_say(body: bytes) -> None:
    assert () == platforms_in(body)


def test_media_type_tells_an_index_from_an_image() -> None:
    assert Manifest("sha256:0", "application/vnd.oci.image.index.v1+json").is_index
    assert not Manifest(
        "sha256:0", "application/vnd.oci.image.manifest.v1+json"
    ).is_index
    assert not Manifest("sha256:0").is_index
