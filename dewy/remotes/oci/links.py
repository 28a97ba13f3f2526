"""Pagination of listings: the `Link` header (RFC 8288, §3)."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["next_link"]

# Possessive throughout: a hostile header must not cost more than its length.
_VALUE = r"""(?:"(?:[^"\\]|\\.)*+"|[^\s;,"]*+)"""
_NAME = r"""[^\s;,="]++"""
_LINK = re.compile(
    rf"[\s,]*+<([^>]*+)>"
    rf"((?:\s*+;\s*+(?:{_NAME}(?:\s*+=\s*+{_VALUE})?+)?+)*+)\s*+(?=,|\Z)"
)
_PARAMETER = re.compile(
    rf""";\s*+({_NAME})\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s;,"]*+))"""
)


def next_link(headers: Iterable[str]) -> str | None:
    """
    Return the target of the first link that leads to the next page, as it is written.

    None where there is none, or none that can be understood.
    """
    for header in headers:
        at = 0
        while link := _LINK.match(header, at):
            if "next" in _relations(link[2]):
                return link[1].strip()
            at = link.end()
    return None


def _relations(parameters: str) -> list[str]:
    # Of several `rel` the first counts (RFC 8288, §3.3); it may hold several words.
    for name, quoted, plain in _PARAMETER.findall(parameters):
        if name.lower() == "rel":
            return str(quoted or plain).lower().split()
    return []
