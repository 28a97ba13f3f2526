"""What a host wants of any registry."""

from __future__ import annotations

from dataclasses import dataclass, field

from .platforms import Platform


@dataclass(frozen=True, slots=True)
class Selection:
    """
    What this host wants, given to every registry beside its URL.

    Attributes:
        slot: The blue/green slot to follow, or "" for any.

        platform: What artifacts have to run on.
    """

    slot: str = ""
    platform: Platform = field(default_factory=Platform.here)
