"""What a host wants of any registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .image_platform import ImagePlatform
from .platforms import Platform


@dataclass(frozen=True, slots=True)
class Selection:
    """
    What this host wants, given to every registry beside its URL.

    Attributes:
        slot: The blue/green slot to follow, or "" for any.

        platform: What artifacts have to run on.

        image_platform: What images have to be for; None where the engine decides.

        reports: Where a registry that takes no records of deployments keeps
            them on this host, or None for nowhere.
    """

    slot: str = ""
    platform: Platform = field(default_factory=Platform.here)
    reports: Path | None = None
    image_platform: ImagePlatform | None = None
