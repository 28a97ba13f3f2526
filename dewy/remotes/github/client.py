"""The client: one per process, shared by the registry and the artifact store."""

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
from .api import BYTES, JSON, LARGEST_COMPLAINT, GitHubAPI

UNSEEN_SPACING = 90.0
"""
Seconds between two looks without a token: of 60 requests an hour the rest is left
for downloads. Without one an answer of 304 is counted, too.
"""


async def connect(clients: Clients, account: GitHubAccount) -> GitHub:
    """Return the client of this process; *account* matters the first time only."""
    return await clients.get("github", lambda: GitHub(account))


class GitHub:
    """
    Releases and their assets, as an account may see them.

    Every method raises `RemoteError` where GitHub does not do its part.
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
        """Return all releases, drafts included; costs one 304 while nothing changes."""
        return await self._listing(repository).refresh()

    def lists_all(self, repository: Repository) -> bool:
        """Return whether `releases` last returned all there are."""
        return self._listing(repository).complete

    async def release(self, repository: Repository, tag: str) -> GitHubRelease | None:
        """
        Return the published release called *tag*, as it is now; None if there is none.
        """
        url = self._url(repository, f"tags/{quote(tag, safe='')}")
        allowed = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        async with self._api.request("GET", url, allowed=allowed) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            return answers.release(self._host, await self._api.json(response))

    async def find(self, repository: Repository, tag: str) -> GitHubRelease:
        """
        Return the release called *tag*, without a request if it was listed already.
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
        """Stream an asset to *into*; its storage never gets to see the token."""
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
        """Add a text file to *release*, where the release itself says it goes."""
        async with self._api.request(
            "POST",
            self._upload_url(release).update_query(name=name),
            allowed=(HTTPStatus.CREATED,),
            headers={**JSON, "Content-Type": "text/plain"},
            body=text.encode(),
        ) as response:
            await http.read(response, LARGEST_COMPLAINT)

    def _upload_url(self, release: GitHubRelease) -> URL:
        # A URI template (RFC 6570): the query it proposes is ours to fill in.
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
            spacing = UNSEEN_SPACING if anonymous else 0.0
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
        Check what a URL says.

        Raises:
            ConfigError: GitHub gives no such names.
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
