"""Unpacking what was downloaded, and nothing beyond its directory."""

from __future__ import annotations

from .extract import unpack
from .limits import Limits
from .rules import Rules

__all__ = ["Limits", "Rules", "unpack"]
