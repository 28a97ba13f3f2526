"""
Versions: reading them, ordering them, choosing one, and the artifact for a host.

Pure: nothing here asks a registry, and only `Platform.here` looks at the host.
"""

from .choose import Choice, Rules, choose, slot_of
from .constraint import Constraint
from .platforms import ArtifactChoice, Platform, choose_artifact
from .selection import Selection
from .version import STABLE, Version

__all__ = [
    "STABLE",
    "ArtifactChoice",
    "Choice",
    "Constraint",
    "Platform",
    "Rules",
    "Selection",
    "Version",
    "choose",
    "choose_artifact",
    "slot_of",
]
