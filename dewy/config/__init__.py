"""The operator's words turned into settings: flags ← environment ← dewy.toml."""

from .resolve import resolve
from .settings import Address, Settings

__all__ = ["Address", "Settings", "resolve"]
