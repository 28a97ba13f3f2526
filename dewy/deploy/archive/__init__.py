"""Unpacking what was downloaded, and nothing beyond its directory."""

from __future__ import annotations

from .extract import unpack
from .limits import ArchiveLimits, UnpackRules

__all__ = ["ArchiveLimits", "UnpackRules", "unpack"]
