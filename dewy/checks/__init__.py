"""The dry run: everything a command would find wrong, without doing anything."""

from .finding import Finding, Level
from .report import Report, examine_host

__all__ = ["Finding", "Level", "Report", "examine_host"]
