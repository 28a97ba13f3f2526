"""Signatures of images, as `cosign sign --key` puts them into a repository."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.standins.pushed_images import CONFIG, MANIFEST, digest_of

KIND = "application/vnd.dev.cosign.simplesigning.v1+json"
EMPTY = b"{}"
TYPE = "cosign container image signature"


@dataclass(frozen=True)
class Signed:
    """A payload, and the Base64 of the signature over it."""

    payload: bytes
    signature: bytes

    @property
    def layer(self) -> dict[str, Any]:
        return {
            "mediaType": KIND,
            "digest": digest_of(self.payload),
            "size": len(self.payload),
            "annotations": {
                "dev.cosignproject.cosign/signature": self.signature.decode()
            },
        }


def payload(digest: str, kind: str = TYPE) -> bytes:
    """What is signed of the image *digest*."""
    critical = {
        "identity": {"docker-reference": "127.0.0.1/app"},
        "image": {"docker-manifest-digest": digest},
        "type": kind,
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def manifest(*signed: Signed) -> dict[str, Any]:
    """The manifest of the tag `sha256-….sig`, the newest signature last."""
    described = {"mediaType": CONFIG, "digest": digest_of(EMPTY), "size": len(EMPTY)}
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described,
        "layers": [each.layer for each in signed],
    }
