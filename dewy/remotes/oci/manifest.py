"""Manifests, for which tags stand: one image, or the index of several."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...versions.platforms import ImagePlatform

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
