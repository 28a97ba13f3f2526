"""A TCP proxy of low cost: ports, their backends, and a relay between them."""

from ..config import Endpoint
from .backend import Backend
from .port import Port
from .proxy import Proxy

__all__ = ["Backend", "Endpoint", "Port", "Proxy"]
