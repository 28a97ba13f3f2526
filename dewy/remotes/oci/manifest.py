"""Manifests of images and indexes, and cosign's signatures in manifests."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from ...versions.platforms import ImagePlatform
from .reference import is_digest

INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    A registry's description of a manifest.

    Attributes:
        kind: The media type, "" if the registry does not state it.
    """

    digest: str
    kind: str = ""

    @property
    def is_index(self) -> bool:
        """Whether the manifest lists images by platform."""
        return self.kind in INDEXES


def platforms_in(body: bytes) -> tuple[ImagePlatform, ...]:
    """
    Return the platforms of the images in an index.

    Empty if an entry lacks its platform, for then the list is not conclusive.
    Attestations, whose platform is `unknown`, are left out.
    """
    try:
        entries = json.loads(body)["manifests"]
        found = [_platform(entry["platform"]) for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
    return tuple(each for each in found if each.os != "unknown")


def _platform(document: Any) -> ImagePlatform:
    os, arch = document["os"].lower(), document["architecture"].lower()
    return ImagePlatform(os, arch, str(document.get("variant") or ""))


PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
TYPE = "cosign container image signature"

MOST = 32
"""Maximum number of an image's signatures to check, the newest first."""


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """
    A signature of cosign, and the digest of the payload that it signs.

    Attributes:
        payload: The digest of a blob that names the image.
    """

    payload: str
    signature: bytes


def tag_of(digest: str) -> str:
    """Return the tag of the signatures of the image *digest*."""
    return f"{digest.replace(':', '-', 1)}.sig"


def signatures_in(manifest: bytes) -> tuple[ImageSignature, ...]:
    """Return at most `MOST` signatures in *manifest*, the newest first."""
    try:
        layers = json.loads(manifest)["layers"]
        found = [each for each in map(_signature, layers) if each is not None]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
    return tuple(found[: -MOST - 1 : -1])


def _signature(layer: Any) -> ImageSignature | None:
    text = (layer.get("annotations") or {}).get(SIGNATURE)
    if layer.get("mediaType") != PAYLOAD or not isinstance(text, str):
        return None
    if not is_digest(digest := str(layer.get("digest"))):
        return None
    try:
        return ImageSignature(digest, b64decode(text, validate=True))
    except ValueError:
        return None


def is_about(payload: bytes, digest: str) -> bool:
    """Return whether *payload* is cosign's for the image *digest*."""
    try:
        critical = json.loads(payload)["critical"]
        kind, image = critical["type"], critical["image"]["docker-manifest-digest"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return bool((kind, image) == (TYPE, digest))
