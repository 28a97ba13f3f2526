"""The TCP proxy: ports, their backends, and the relay between them."""

from ..config import Endpoint
from .backend import Backend
from .port import Port
from .proxy import Proxy

__all__ = ["Backend", "Endpoint", "Port", "Proxy"]
