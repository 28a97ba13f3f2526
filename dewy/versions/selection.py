"""Selection: a host's wishes for any registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .image_platform import ImagePlatform
from .platforms import Platform


@dataclass(frozen=True, slots=True)
class Selection:
    """
    The wishes of this host, given to every registry beside its URL.

    Attributes:
        slot: The blue/green slot to follow, or "" for any.

        platform: The platform that artifacts have to run on.

        image_platform: The platform that images have to be for; None where the engine
            decides.

        reports: The place on this host for records of deployments that the registry
            does not take, or None for nowhere.
    """

    slot: str = ""
    platform: Platform = field(default_factory=Platform.here)
    reports: Path | None = None
    image_platform: ImagePlatform | None = None
