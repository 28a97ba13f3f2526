"""Client of GitHub, shared by the registry and the artifact store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from yarl import URL

from ...errors import ConfigError, RemoteError
from ...system import Clock
from .. import Clients, http
from ..download import download
from ..transfer import Effort, Progress, persist
from . import answers
from .account import Anonymous, GitHubAccount
from .answers import GitHubAsset, GitHubRelease
from .api import BYTES, JSON, LARGEST_ERROR, GitHubAPI

ANONYMOUS_SPACING = 90.0
"""
Minimum seconds between two listings without a token: of 60 requests an hour some are
left for downloads. Without a token a 304 counts, too.
"""


async def connect(clients: Clients, account: GitHubAccount) -> GitHub:
    """Return the client among *clients*; the first call decides on the *account*."""
    return await clients.get("github", lambda: GitHub(account))


class GitHub:
    """
    Client for releases and their assets, with the access of an account.

    Every method raises RemoteError if GitHub fails.
    """

    def __init__(
        self,
        account: GitHubAccount,
        *,
        clock: Clock | None = None,
        deadlines: http.Deadlines = http.STANDARD,
        effort: Effort | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._api = GitHubAPI(account, self._clock, deadlines)
        self._host = account.host
        self._effort = effort or Effort(silence=deadlines.silence)
        self._listings: dict[Repository, Listing] = {}

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._api.__aexit__(*exc_info)

    async def releases(self, repository: Repository) -> tuple[GitHubRelease, ...]:
        """Return all releases with drafts, by one 304 while nothing changes."""
        return await self._listing(repository).refresh()

    def lists_all(self, repository: Repository) -> bool:
        """Return whether the last `releases` was complete."""
        return self._listing(repository).complete

    async def release(self, repository: Repository, tag: str) -> GitHubRelease | None:
        """Request the published release called *tag*; return None if there is none."""
        url = self._url(repository, f"tags/{quote(tag, safe='')}")
        allowed = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        async with self._api.request("GET", url, allowed=allowed) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            return answers.release(self._host, await self._api.json(response))

    async def find(self, repository: Repository, tag: str) -> GitHubRelease:
        """
        Return the release called *tag*, without a request if it was listed before.

        Raises:
            RemoteError: there is no such release.
        """
        listed = self._listing(repository).releases
        known = next((release for release in listed if release.tag == tag), None)
        found = known or await self.release(repository, tag)
        if found is None:
            raise RemoteError(f"{self._host}: {repository} has no release {tag}")
        return found

    async def download(
        self,
        repository: Repository,
        asset: GitHubAsset,
        into: Path,
        progress: Progress = lambda done, total: None,
    ) -> None:
        """Stream an asset to *into*; the storage behind GitHub never gets the token."""
        await download(
            self._api.store,
            self._url(repository, f"assets/{asset.id}"),
            into,
            headers=BYTES,
            expected=asset.size,
            progress=progress,
            refused=self._api.refusal,
            effort=self._effort,
        )

    async def read(
        self, repository: Repository, asset: GitHubAsset, limit: int
    ) -> bytes:
        """Return an asset of at most *limit* bytes."""
        if asset.size > limit:
            raise RemoteError(f"{self._host}: {asset.name} exceeds {limit} bytes")
        return await persist(
            partial(self._read, repository, asset, limit), self._effort
        )

    async def _read(
        self, repository: Repository, asset: GitHubAsset, limit: int
    ) -> bytes:
        url = self._url(repository, f"assets/{asset.id}")
        async with self._api.request(
            "GET", url, headers=BYTES, session=self._api.store
        ) as response:
            return await http.read(response, limit, asset.name)

    async def upload(self, release: GitHubRelease, name: str, text: str) -> None:
        """Upload a text file to *release*, at its `upload_url`."""
        async with self._api.request(
            "POST",
            self._upload_url(release).update_query(name=name),
            allowed=(HTTPStatus.CREATED,),
            headers={**JSON, "Content-Type": "text/plain"},
            body=text.encode(),
        ) as response:
            await http.read(response, LARGEST_ERROR)

    def _upload_url(self, release: GitHubRelease) -> URL:
        # Without the template's `{?name,label}`.
        text = release.upload_url.partition("{")[0]
        try:
            url = URL(text)
            trusted = url.origin() in self._api.account.origins
        except ValueError:
            raise RemoteError(f"{self._host} names no URL for uploads") from None
        if not trusted:
            raise RemoteError(
                f"{self._host} refers uploads to {url.host}, which is not its own;"
                " nothing was sent"
            )
        return url

    def _url(self, repository: Repository, path: str = "") -> URL:
        owner, name = repository
        below = f"/{path}" if path else ""
        return self._api.url(f"repos/{owner}/{name}/releases{below}")

    def _listing(self, repository: Repository) -> Listing:
        async def ask(number: int, known: ListingPage | None) -> ListingPage:
            return await self._page(repository, number, known)

        if repository not in self._listings:
            anonymous = isinstance(self._api.account.credentials, Anonymous)
            spacing = ANONYMOUS_SPACING if anonymous else 0.0
            self._listings[repository] = Listing(ask, self._clock.monotonic, spacing)
        return self._listings[repository]

    async def _page(
        self, repository: Repository, number: int, known: ListingPage | None
    ) -> ListingPage:
        url = self._url(repository).with_query(per_page=PER_PAGE, page=number)
        conditional = known is not None and known.etag != ""
        headers = (
            {**JSON, "If-None-Match": known.etag} if known and conditional else JSON
        )
        allowed = (200, 304) if conditional else (200,)
        async with self._api.request(
            "GET", url, headers=headers, allowed=allowed
        ) as response:
            if known and response.status == HTTPStatus.NOT_MODIFIED:
                return known
            listed = answers.releases(self._host, await self._api.json(response))
            etag = response.headers.get("ETag", "")
            return ListingPage(listed, etag, last="next" not in response.links)


PER_PAGE = 100
"""GitHub's maximum per page."""

MOST_PAGES = 100
"""GitHub lists at most 10,000 releases."""

FULL_CHECK = 600.0
"""Seconds after which all pages are requested again."""


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A page of a listing, with its ETag; `last` if no page follows."""

    releases: tuple[GitHubRelease, ...]
    etag: str
    last: bool


Ask = Callable[[int, ListingPage | None], Awaitable[ListingPage]]
"""Requests a page by number; returns the given page itself if it is unchanged."""


class Listing:
    """
    Cache of the list of all releases of a repository.

    New releases appear on the first page, so a poll requests that one alone: a 304 is
    not counted against the rate limit. The other pages are requested when the first has
    changed, and every `FULL_CHECK` seconds.

    Args:
        spacing: Minimum seconds between two requests.
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
        The releases last listed, newest first, each once: a release may move to
        another page between two requests.
        """
        seen = {
            release.id: release for page in self._pages for release in page.releases
        }
        return tuple(seen.values())

    @property
    def complete(self) -> bool:
        """Whether GitHub listed all releases."""
        return not self._pages or self._pages[-1].last

    async def refresh(self) -> tuple[GitHubRelease, ...]:
        """
        Request what may have changed, and return all releases.

        Raises:
            RemoteError: GitHub failed; `releases` stays as it was.
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


_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Repository(NamedTuple):
    """A repository, as in `github.com/OWNER/NAME`."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @classmethod
    def named(cls, owner: str, name: str) -> Self:
        """
        Return the repository that a URL names.

        Raises:
            ConfigError: GitHub does not allow such names.
        """
        if "@" in owner:
            raise ConfigError(
                "ghr:// takes no login in the URL; set GITHUB_TOKEN, and write"
                f" ghr://{owner.rpartition('@')[2]}/{name}"
            )
        for part in (owner, name):
            if not _NAME.fullmatch(part) or part in (".", ".."):
                raise ConfigError(
                    f"ghr://{owner}/{name} is not of the form ghr://OWNER/REPOSITORY"
                )
        return cls(owner, name)
