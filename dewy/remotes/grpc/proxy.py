"""Proxies of gRPC channels, chosen as all of dewy chooses them."""

from __future__ import annotations

from yarl import URL

from ..env_proxy import proxy_for

__all__ = ["proxy_of", "proxy_options"]


def proxy_of(address: str) -> URL | None:
    """Return the proxy for a server at *address*, `HOST:PORT`, if there is one."""
    return proxy_for(URL(f"https://{address}"))


def proxy_options(address: str) -> tuple[tuple[str, object], ...]:
    """Return the options of a channel to *address*; the core reads fewer variables."""
    if proxy := proxy_of(address):
        return (("grpc.http_proxy", str(proxy)),)
    return (("grpc.enable_http_proxy", 0),)
