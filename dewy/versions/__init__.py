"""
Versions: parsing, order and choice; and the choice of the artifact for a host.

Pure functions, except for `Platform.here`, which looks at the host.
"""

from .choose import (
    Choice,
    Order,
    Rules,
    choose,
    key_of,
    order,
    outdone_by,
    precedence,
    slot_of,
    surprises,
)
from .constraint import Constraint
from .platforms import VERSION, ArtifactChoice, Platform, Selection, choose_artifact
from .version import STABLE, Key, Version

__all__ = [
    "STABLE",
    "VERSION",
    "ArtifactChoice",
    "Choice",
    "Constraint",
    "Key",
    "Order",
    "Platform",
    "Rules",
    "Selection",
    "Version",
    "choose",
    "choose_artifact",
    "key_of",
    "order",
    "outdone_by",
    "precedence",
    "slot_of",
    "surprises",
]
