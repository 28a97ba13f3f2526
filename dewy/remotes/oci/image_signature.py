"""
Signatures of images, as cosign puts them beside an image in its repository.

github.com/sigstore/cosign → specs/SIGNATURE_SPEC.md.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from .reference import is_digest

__all__ = ["ImageSignature", "is_about", "signatures_in", "tag_of"]

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
