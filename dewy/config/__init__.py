"""The operator's words turned into settings: flags ← environment ← dewy.toml."""

from .endpoint import Address, BackendAddress, Endpoint, HostName, PortMapping
from .resolve import examine, resolve, resolve_anyway
from .settings import Reloadable, Settings

__all__ = [
    "Address",
    "BackendAddress",
    "Endpoint",
    "HostName",
    "PortMapping",
    "Reloadable",
    "Settings",
    "examine",
    "resolve",
    "resolve_anyway",
]
