"""The command line: one file per command, each parses, makes one call, prints."""

from .entry import main, run

__all__ = ["main", "run"]
