"""The page as it is sent; `test_browser.py` looks at it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from dewy.admin.http import AdminAPI
from dewy.admin.page import page
from tests.standins.browsing import send, telling


async def test_page_is_served_as_single_html_response(
    port: int, snapshot: dict[str, Any]
) -> None:
    async with AdminAPI(port, telling(snapshot)) as api:
        request = "GET / HTTP/1.1\nHost: localhost\n\n"
        code, headers, body = await send(api.port, request)

    assert (200, "text/html; charset=utf-8") == (code, headers["content-type"])
    assert page().policy == headers["content-security-policy"]
    assert "no-store" == headers["cache-control"]
    assert body.startswith("<!doctype html>")
    assert body.endswith("</html>\n")


def test_the_page_names_nothing_outside() -> None:
    """Nothing is loaded but itself; what it is called in XML is no address."""
    html = page().html.replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"https?:|src=|@import|url\(", html.replace("image.src", ""))


def test_the_policy_is_of_this_script_and_style() -> None:
    html, policy = page().html, page().policy
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert " style=" not in html
    assert not re.search(r"\son\w+=", html)


def test_the_script_makes_only_text() -> None:
    script = page().html.partition("<script>")[2]

    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write", script)
