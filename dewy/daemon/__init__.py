"""
The daemon: one exit stack, in order of dependency.

Nothing is created before everything that can be refused has been checked, and
what runs is brought up from this host before the registry is asked.
"""

from .last_resort import LastResort
from .run import run

__all__ = ["LastResort", "run"]
