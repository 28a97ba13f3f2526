"""
The daemon: one exit stack, in order of dependency.

Nothing is created before everything that can be refused has been checked, and
what runs is brought up from this host before the registry is asked.
"""

from .run import run
from .shutdown import LastResort

__all__ = ["LastResort", "run"]
