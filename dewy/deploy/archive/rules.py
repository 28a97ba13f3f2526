"""The rules that the operator gives for unpacking."""

from __future__ import annotations

from dataclasses import dataclass, field

from .limits import ArchiveLimits


@dataclass(frozen=True, slots=True)
class UnpackRules:
    """
    The rules for unpacking.

    Attributes:
        strip: The number of directories left out at the beginning of each name, as by
            `tar --strip-components`.

        absolute_links: Links may have absolute targets.

        program: The path of the program in the release, or "". It can be executed
            afterwards, even where the archive holds no permissions.
    """

    limits: ArchiveLimits = field(default_factory=ArchiveLimits)
    strip: int = 0
    absolute_links: bool = False
    program: str = ""
