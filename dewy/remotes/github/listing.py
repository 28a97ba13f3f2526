"""Listing of all releases of one repository, remembered, and asked for anew cheaply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .answers import GitHubRelease

PER_PAGE = 100
"""The most that GitHub puts on a page."""

MOST_PAGES = 100
"""GitHub lists no more than 10,000 releases."""

FULL_CHECK = 600.0
"""Seconds after which the pages behind the first are asked for again."""


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A page of a listing; `etag` names this state of it."""

    releases: tuple[GitHubRelease, ...]
    etag: str
    last: bool


Ask = Callable[[int, ListingPage | None], Awaitable[ListingPage]]
"""Fetch a page by number; return the very page given if it is unchanged."""


class Listing:
    """
    The list of all releases of one repository.

    New releases appear on the first page, so a poll asks for that one alone:
    while nothing happens it costs one answer of 304, which is not billed. The
    other pages are asked about when the first changed, and now and then.

    Args:
        spacing: Seconds for which an answer is good enough.
    """

    def __init__(
        self, ask: Ask, monotonic: Callable[[], float], spacing: float = 0.0
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._spacing = spacing
        self._asked = float("-inf")
        self._pages: tuple[ListingPage, ...] = ()
        self._checked = 0.0
        self._lock = asyncio.Lock()

    @property
    def releases(self) -> tuple[GitHubRelease, ...]:
        """
        The releases as last seen, newest first; a release that moved between pages
        once.
        """
        seen = {
            release.id: release for page in self._pages for release in page.releases
        }
        return tuple(seen.values())

    @property
    def complete(self) -> bool:
        """True unless there are more releases than GitHub lists."""
        return not self._pages or self._pages[-1].last

    async def refresh(self) -> tuple[GitHubRelease, ...]:
        """
        Ask what changed.

        Raises:
            RemoteError: GitHub did not answer; what was known stays.
        """
        async with self._lock:
            if self._pages and self._monotonic() - self._asked < self._spacing:
                return self.releases
            first = await self._ask(1, self._known(1))
            if first is not self._known(1) or self._is_due():
                self._pages = await self._follow(first)
                self._checked = self._monotonic()
            self._asked = self._monotonic()
            return self.releases

    async def _follow(self, first: ListingPage) -> tuple[ListingPage, ...]:
        pages = [first]
        while not pages[-1].last and len(pages) < MOST_PAGES:
            number = len(pages) + 1
            pages.append(await self._ask(number, self._known(number)))
        return tuple(pages)

    def _known(self, number: int) -> ListingPage | None:
        return self._pages[number - 1] if number <= len(self._pages) else None

    def _is_due(self) -> bool:
        return self._monotonic() - self._checked >= FULL_CHECK
