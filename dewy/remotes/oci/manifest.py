"""Manifests, for which tags stand, and the signatures of images kept as one."""

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
    A manifest, as a registry describes it.

    Attributes:
        kind: The media type, "" where the registry does not tell.
    """

    digest: str
    kind: str = ""

    @property
    def is_index(self) -> bool:
        """True if the manifest stands for one image a platform."""
        return self.kind in INDEXES


def platforms_in(body: bytes) -> tuple[ImagePlatform, ...]:
    """
    Read the platforms that an index has images for.

    Empty where it does not say of each, so that nothing can be told from it;
    attestations, whose platform is `unknown`, are no images.
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
"""The number of signatures of an image that are looked at, the newest first."""


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """
    A signature, and the digest of the payload that it is over.

    Attributes:
        payload: The digest of a blob, which names the image.
    """

    payload: str
    signature: bytes


def tag_of(digest: str) -> str:
    """Return the tag under which the signatures of the image *digest* are."""
    return f"{digest.replace(':', '-', 1)}.sig"


def signatures_in(manifest: bytes) -> tuple[ImageSignature, ...]:
    """Read the signatures in *manifest*, the newest first; what is none is left out."""
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
    """Return whether *payload* says that the image *digest* is signed."""
    try:
        critical = json.loads(payload)["critical"]
        kind, image = critical["type"], critical["image"]["docker-manifest-digest"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return bool((kind, image) == (TYPE, digest))
