"""The page of the admin API: one answer that needs nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["AdminPage", "page", "serve"]

SCRIPTS = ("format.js", "elements.js", "graph.js", "sections.js", "page.js")
"""The parts of the script, in the order in which they rely on each other."""


@dataclass(frozen=True, slots=True)
class AdminPage:
    """
    Attributes:
        html: The document, its style and script in it.

        policy: The page's content security policy: run this script, use this style, and
            send requests to the page's own origin; nothing else.
    """

    html: str
    policy: str


@cache
def page() -> AdminPage:
    """
    Return the page, assembled from its parts. Blocks the first time.

    Raises:
        OSError: the installation is incomplete.
    """
    html, style = _read("page.html"), _read("page.css")
    script = "\n".join(map(_read, SCRIPTS))
    # In a block, so that no name in it is that of something of the browser.
    script = f'"use strict";\n{{\n{script}}}\n'
    policy = (
        "default-src 'none'",
        f"script-src {_hash(script)}",
        f"style-src {_hash(style)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Text stays text: the script cannot make it anything else.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    whole = html.replace("/* style */", style).replace("/* script */", script)
    return AdminPage(whole, "; ".join(policy))


async def serve(request: web.Request) -> web.Response:
    """Return the handler of `GET /`."""
    from aiohttp import web

    found = await asyncio.to_thread(page)
    return web.Response(
        text=found.html,
        content_type="text/html",
        headers={"Content-Security-Policy": found.policy},
    )


def _read(name: str) -> str:
    return (files(__package__) / "browser" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
