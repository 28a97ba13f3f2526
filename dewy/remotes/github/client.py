"""The client: one per process, shared by the registry and the artifact store."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import quote

from yarl import URL

from ...errors import RemoteError
from ...system import Clock
from .. import Clients, http
from ..download import download
from ..transfer import Effort, Progress, persist
from . import answers
from .account import Anonymous, GitHubAccount
from .answers import GitHubAsset, GitHubRelease
from .api import BYTES, JSON, LARGEST_COMPLAINT, GitHubAPI
from .listing import PER_PAGE, Listing, ListingPage
from .repository import Repository

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
                f"{self._host} sends uploads to {url.host}, which is not its own;"
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
