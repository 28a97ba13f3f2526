"""Dry run: everything that a command would find wrong, without any effect."""

from .finding import Finding, Level
from .report import Report, examine_host

__all__ = ["Finding", "Level", "Report", "examine_host"]
