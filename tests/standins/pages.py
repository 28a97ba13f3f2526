"""The page of an API that says what a test wants said, seen in a browser."""

from __future__ import annotations

from dewy.admin.http import AdminAPI, Past
from tests.standins import shown
from tests.standins.chromium import Tab

__all__ = ["api", "visit"]


def api(port: int, told: shown.Status, past: Past = shown.past) -> AdminAPI:
    """An API that tells *told* and *past*."""
    return AdminAPI(port, shown.Telling(told), past=past)


async def visit(page: Tab, api: AdminAPI) -> None:
    """Go there, and wait for what it has to tell."""
    await page.go(f"http://localhost:{api.port}/")
    await page.until("document.querySelector('#link').innerText == 'Live'")
    await page.until("document.querySelectorAll('#history strong').length")
