"""The operator's words turned into settings: flags ← environment ← dewy.toml."""

from .endpoint import Endpoint
from .resolve import resolve
from .settings import DEFAULT_ADMIN_PORT, Address, Settings

__all__ = ["DEFAULT_ADMIN_PORT", "Address", "Endpoint", "Settings", "resolve"]
