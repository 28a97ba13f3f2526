"""Metrics of dewy's HTTP requests, and of what other hosts still allow."""

from __future__ import annotations

from collections import Counter

import aiohttp
from aiohttp import ClientHandlerType

__all__ = ["TRAFFIC", "HTTPMetrics"]

MOST = 50
"""Hosts that are told apart: redirects may lead to any number of them."""

OTHERS = "others"
FAILED = "failed"


class HTTPMetrics:
    """
    Attributes:
        requests: The numbers of requests, by host and status; `failed` stands for those
            without an answer.

        remaining: The numbers of requests that hosts still allow for now, where they
            say so.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.remaining: dict[str, int] = {}
        self._hosts: set[str] = set()

    async def count(
        self, request: aiohttp.ClientRequest, send: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Return a middleware of sessions; redirects are requests as well."""
        host = self._name(request.url.host or "")
        try:
            answer = await send(request)
        except (aiohttp.ClientError, OSError):
            self.requests[host, FAILED] += 1
            raise
        self.requests[host, str(answer.status)] += 1
        left = answer.headers.get("X-RateLimit-Remaining", "")
        if left.isascii() and left.isdigit() and len(left) < 10:
            self.remaining[host] = int(left)
        return answer

    def _name(self, host: str) -> str:
        if host not in self._hosts and len(self._hosts) >= MOST:
            return OTHERS
        self._hosts.add(host)
        return host


TRAFFIC = HTTPMetrics()
"""The metrics of this process."""
