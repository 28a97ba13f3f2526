"""The operator's words turned into settings: flags ← environment ← dewy.toml."""

from .endpoint import Endpoint
from .resolve import examine, resolve, resolve_anyway
from .settings import DEFAULT_ADMIN_PORT, Address, PortMapping, Settings

__all__ = [
    "DEFAULT_ADMIN_PORT",
    "Address",
    "Endpoint",
    "PortMapping",
    "Settings",
    "examine",
    "resolve",
    "resolve_anyway",
]
