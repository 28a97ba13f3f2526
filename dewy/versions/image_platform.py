"""The platform an image is for, in the engine's words: `linux/arm64/v8`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_ARCHES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "armhf": "arm",
    "armel": "arm",
}


@dataclass(frozen=True, slots=True)
class ImagePlatform:
    """
    A platform as an index of images names it.

    Attributes:
        os, arch: In Go's names.

        variant: `v7` of `arm`, `v8` of `arm64`; "" where it does not say.
    """

    os: str
    arch: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.arch, self.variant)))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """
        Read what `--platform` says: `linux/arm64/v8`, `linux`, `arm64`.

        None where it leaves the architecture to the engine.
        """
        os, *more = text.lower().split("/")
        if not more:
            os, more = ("linux", [os]) if os not in ("linux", "windows") else (os, [])
        if not more:
            return None
        arch = _ARCHES.get(more[0], more[0])
        return cls(os, arch, more[1] if len(more) > 1 else "")

    def runs(self, image: ImagePlatform) -> bool:
        """Return whether an engine for this platform takes *image* out of an index."""
        if image.os != self.os:
            return False
        if self.arch == "amd64":
            return image.arch in ("amd64", "386")
        if self.arch == "arm64":
            return image.arch in ("arm64", "arm")
        if self.arch == "arm" == image.arch:
            return _level(image.variant, 7) <= _level(self.variant, 7)
        return image.arch == self.arch


def _level(variant: str, unknown: int) -> int:
    match = re.fullmatch(r"v([0-9])", variant)
    return int(match[1]) if match else unknown
