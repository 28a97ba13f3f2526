"""The operator's words turned into settings: flags ← environment ← dewy.toml."""

from .endpoint import BackendAddress, Endpoint, HostName
from .resolve import examine, resolve, resolve_anyway
from .settings import DEFAULT_ADMIN_PORT, Address, PortMapping, Settings

__all__ = [
    "DEFAULT_ADMIN_PORT",
    "Address",
    "BackendAddress",
    "Endpoint",
    "HostName",
    "PortMapping",
    "Settings",
    "examine",
    "resolve",
    "resolve_anyway",
]
