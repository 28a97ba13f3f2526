from __future__ import annotations

import asyncio

import pytest

from dewy.errors import RemoteError
from dewy.remotes.github.answers import GitHubRelease
from dewy.remotes.github.client import MOST_PAGES, Listing, ListingPage


def release(number: int) -> GitHubRelease:
    return GitHubRelease(number, f"v{number}", False, None, "", ())


class Shelf:
    """Pages by number, each with a state that a test may change."""

    def __init__(self, *pages: list[int]) -> None:
        self.pages = list(pages)
        self.asked: list[tuple[int, bool]] = []
        self.broken: set[int] = set()
        self.now = 0.0
        self.endless = False

    async def ask(self, number: int, known: ListingPage | None) -> ListingPage:
        await asyncio.sleep(0)
        if number in self.broken:
            raise RemoteError("down")
        contents = self.pages[min(number, len(self.pages)) - 1]
        etag = repr(contents)
        unchanged = known is not None and known.etag == etag
        self.asked.append((number, unchanged))
        if known is not None and unchanged:
            return known
        last = number == len(self.pages) and not self.endless
        return ListingPage(tuple(map(release, contents)), etag, last)

    def taken(self) -> list[tuple[int, bool]]:
        """Each page asked for since, and whether it was unchanged."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def shelf() -> Shelf:
    return Shelf([9, 8], [7, 6], [5])


@pytest.fixture
def listing(shelf: Shelf) -> Listing:
    return Listing(shelf.ask, lambda: shelf.now)


async def tags(listing: Listing) -> list[int]:
    return [release.id for release in await listing.refresh()]


async def test_all_pages_are_listed(shelf: Shelf, listing: Listing) -> None:
    """The newest version need not be the newest release."""
    assert listing.complete
    assert [9, 8, 7, 6, 5] == await tags(listing)
    assert [(1, False), (2, False), (3, False)] == shelf.taken()


async def test_unchanged_listing_makes_single_request_per_poll(
    shelf: Shelf, listing: Listing
) -> None:
    """And gets the answer "unchanged", which is free."""
    await listing.refresh()
    shelf.taken()

    for _ in range(3):
        assert [9, 8, 7, 6, 5] == await tags(listing)
    assert [(1, True)] * 3 == shelf.taken()


async def test_changed_first_page_refetches_remaining_pages(
    shelf: Shelf, listing: Listing
) -> None:
    """A new release moves others from page to page."""
    await listing.refresh()
    shelf.taken()
    shelf.pages = [[10, 9], [8, 7], [6, 5]]

    assert [10, 9, 8, 7, 6, 5] == await tags(listing)
    assert [(1, False), (2, False), (3, False)] == shelf.taken()


async def test_rest_that_did_not_change_is_free(shelf: Shelf, listing: Listing) -> None:
    """A download count on the first page moves nothing."""
    await listing.refresh()
    shelf.taken()
    shelf.pages[0] = [9, 88]

    assert [9, 88, 7, 6, 5] == await tags(listing)
    assert [(1, False), (2, True), (3, True)] == shelf.taken()


async def test_rest_is_looked_at_now_and_then(shelf: Shelf, listing: Listing) -> None:
    """An old release may be deleted, or get an asset, with no trace in front."""
    await listing.refresh()
    shelf.taken()
    shelf.pages[1] = [7]
    shelf.now = 599.0
    assert [9, 8, 7, 6, 5] == await tags(listing)
    shelf.now = 600.0

    assert [9, 8, 7, 5] == await tags(listing)
    assert [(1, True), (1, True), (2, False), (3, True)] == shelf.taken()


async def test_pages_that_are_gone_are_forgotten(
    shelf: Shelf, listing: Listing
) -> None:
    """With the releases that were on them."""
    await listing.refresh()
    shelf.pages = [[9]]

    assert [9] == await tags(listing)


async def test_release_on_two_pages_counts_once(shelf: Shelf, listing: Listing) -> None:
    """One published between two requests pushes another over the edge."""
    shelf.pages = [[9, 8], [8, 7]]

    assert [9, 8, 7] == await tags(listing)


async def test_failure_half_way_changes_nothing(shelf: Shelf, listing: Listing) -> None:
    """The next poll must not take the new front for a complete answer."""
    await listing.refresh()
    shelf.pages = [[10, 9], [8, 7], [6, 5]]
    shelf.broken = {2}
    with pytest.raises(RemoteError):
        await listing.refresh()
    assert [9, 8, 7, 6, 5] == [release.id for release in listing.releases]
    shelf.broken = set()

    assert [10, 9, 8, 7, 6, 5] == await tags(listing)


async def test_endless_listing_ends(shelf: Shelf, listing: Listing) -> None:
    """A server that always names a next page would keep us for ever."""
    shelf.endless = True
    await listing.refresh()

    assert MOST_PAGES == len(shelf.taken())
    assert not listing.complete


async def test_concurrent_polls_take_turns(shelf: Shelf, listing: Listing) -> None:
    """The second finds what the first has learnt."""
    await asyncio.gather(listing.refresh(), listing.refresh())

    assert [(1, False), (2, False), (3, False), (1, True)] == shelf.taken()


async def test_answer_is_good_for_the_spacing(shelf: Shelf) -> None:
    listing = Listing(shelf.ask, lambda: shelf.now, spacing=90.0)
    first = await listing.refresh()
    shelf.taken()
    shelf.now += 89

    assert first == await listing.refresh()
    assert [] == shelf.taken()
    shelf.now += 2
    await listing.refresh()
    assert [(1, True)] == shelf.taken()
