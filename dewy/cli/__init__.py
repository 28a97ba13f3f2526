"""The command line: each command parses, makes one call, and prints."""

from .entry import main, run

__all__ = ["main", "run"]
