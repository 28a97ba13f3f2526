"""The operator's words turned into settings: flags ← environment ← dewy.toml."""

from .endpoint import Address, BackendAddress, Endpoint, HostName, PortMapping
from .resolve import examine, resolve, resolve_anyway
from .settings import Settings

__all__ = [
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
