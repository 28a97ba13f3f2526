"""Image registries: what is tagged in a repository, and what a tag stands for."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from yarl import URL

from ...errors import OddAnswer, RemoteError
from ...system import Clock
from ...versions.platforms import ImagePlatform
from .. import Clients, http
from .api import RegistryAPI, RegistryRequest, RegistryResponse
from .manifest import ImageSignature, Manifest, platforms_in, signatures_in, tag_of
from .reference import Reference, is_digest, is_tag

__all__ = ["OCI", "connect", "next_link"]

MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
"""
The media types a tag may stand for. Lists come first, or some registries answer with
one of the images in the list, and so with another digest on another platform.
"""

PER_PAGE = 1000
"""The most that registries agree to put on a page."""

MOST_PAGES = 100

MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
"""The manifest is not there, though its tag may be listed."""

BARRED = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS)
"""The registry keeps this one image back: Harbor does where it is vulnerable."""

MOST_INDEXES = 1000
"""The number of indexes that are remembered."""

LARGEST_PAGE = 32 << 20
"""Bytes of a page; some registries put everything on one."""

LARGEST_MANIFEST = 4 << 20
"""Bytes of a manifest; the specification lets registries refuse larger ones."""


@dataclass(frozen=True, slots=True)
class TagPage:
    """
    A page of a listing.

    Attributes:
        etag: Names this state of it.

        following: The next one.

        refused: The registry does not want so many tags on a page.
    """

    tags: tuple[str, ...]
    etag: str
    following: URL | None
    refused: bool = False


async def connect(clients: Clients) -> OCI:
    """Return the client of this process."""
    return await clients.get("oci", OCI)


class OCI:
    """
    A client of any registry that speaks the OCI distribution protocol.

    Every method raises `RemoteError` where the registry does not do its part.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        clock: Clock | None = None,
        deadlines: http.Deadlines = http.STANDARD,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._api = RegistryAPI(environ, clock or Clock(), deadlines)
        self._pages: dict[Reference, dict[URL, TagPage]] = {}
        self._unpaged: set[Reference] = set()
        self._platforms: dict[str, tuple[ImagePlatform, ...]] = {}

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._api.__aexit__(*exc_info)

    async def tags(self, reference: Reference) -> tuple[str, ...]:
        """Return all tags of *reference*, in the registry's order, each once."""
        pages: dict[URL, TagPage] = {}
        url: URL | None = await self._first(reference, pages)
        while url is not None:
            if url in pages or len(pages) == MOST_PAGES:
                raise RemoteError(
                    f"{reference} lists its tags on more than {MOST_PAGES} pages, or"
                    " in circles"
                )
            pages[url] = await self._page(reference, url)
            url = pages[url].following
        self._pages[reference] = pages
        return tuple(dict.fromkeys(tag for page in pages.values() for tag in page.tags))

    async def digest(self, reference: Reference, tag: str) -> str | None:
        """Return the digest of `stands_for` alone."""
        manifest = await self.stands_for(reference, tag)
        return manifest.digest if manifest else None

    async def stands_for(self, reference: Reference, tag: str) -> Manifest | None:
        """
        Return the manifest that *tag* stands for; of an image for several platforms the
        index.

        None if there is no such tag. No pull is counted, provided that the
        registry answers HEAD as it should.
        """
        if not is_tag(tag):
            return None
        url = reference.api(f"manifests/{tag}")
        head = await self._manifest(reference, "HEAD", url)
        if head.status in MISSING:
            return None
        if head.status in BARRED:
            raise OddAnswer(
                f"{reference.host} does not hand {reference.path}:{tag} out"
                f" ({head.status})"
            )
        stated = head.headers.get("Docker-Content-Digest", "")
        if head.status == HTTPStatus.OK and stated:
            return Manifest(_checked(reference, tag, stated), _kind(head))
        return await self._computed(reference, tag, url)

    async def platforms(
        self, reference: Reference, index: Manifest
    ) -> tuple[ImagePlatform, ...]:
        """
        Return the platforms that *index* has images for; empty where that is not known.

        It is asked for once, for a digest stands for the same for ever.
        """
        known = self._platforms.get(index.digest)
        if known is None:
            url = reference.api(f"manifests/{index.digest}")
            answer = await self._manifest(reference, "GET", url)
            known = platforms_in(answer.body)
            if len(self._platforms) >= MOST_INDEXES:
                self._platforms.clear()
            self._platforms[index.digest] = known
        return known

    async def signatures(
        self, reference: Reference, digest: str
    ) -> tuple[ImageSignature, ...]:
        """Return the signatures beside the image *digest*, the newest first."""
        url = reference.api(f"manifests/{tag_of(digest)}")
        answer = await self._manifest(reference, "GET", url)
        return signatures_in(answer.body) if answer.status == HTTPStatus.OK else ()

    async def blob(self, reference: Reference, digest: str, limit: int) -> bytes:
        """Return the blob *digest* of at most *limit* bytes."""
        url = reference.api(f"blobs/{digest}")
        answer = await self._api.send(
            reference, RegistryRequest("GET", url, limit=limit)
        )
        if digest != f"sha256:{hashlib.sha256(answer.body).hexdigest()}":
            raise OddAnswer(f"{reference.pull_name(digest)} is not what it says")
        return answer.body

    async def _first(
        self, reference: Reference, pages: dict[URL, TagPage]
    ) -> URL | None:
        """Ask for the first page; return the URL of the next."""
        plain = reference.api("tags/list")
        if reference not in self._unpaged:
            url = plain.with_query(n=PER_PAGE)
            page = await self._page(reference, url, also=(HTTPStatus.BAD_REQUEST,))
            if not page.refused:
                pages[url] = page
                return page.following
            self._unpaged.add(reference)
        return plain

    async def _page(
        self, reference: Reference, url: URL, also: tuple[HTTPStatus, ...] = ()
    ) -> TagPage:
        known = self._pages.get(reference, {}).get(url)
        etag = known.etag if known else ""
        request = RegistryRequest(
            "GET",
            url,
            headers={
                "Accept": "application/json",
                **({"If-None-Match": etag} if etag else {}),
            },
            allowed=(
                HTTPStatus.OK,
                *also,
                *((HTTPStatus.NOT_MODIFIED,) if etag else ()),
            ),
            limit=LARGEST_PAGE,
        )
        answer = await self._api.send(reference, request)
        if known and answer.status == HTTPStatus.NOT_MODIFIED:
            return known
        if answer.status in also:
            return TagPage((), "", None, refused=True)
        link = next_link(answer.headers.getall("Link", ()))
        return TagPage(
            tags=_tags(reference, answer.body),
            etag=answer.headers.get("ETag", ""),
            following=_followed(reference, url, link) if link else None,
        )

    async def _manifest(
        self, reference: Reference, method: str, url: URL
    ) -> RegistryResponse:
        allowed = [HTTPStatus.OK, *MISSING, *BARRED]
        if method == "HEAD":
            allowed.append(HTTPStatus.METHOD_NOT_ALLOWED)
        return await self._api.send(
            reference,
            RegistryRequest(
                method, url, {"Accept": MANIFESTS}, allowed, LARGEST_MANIFEST
            ),
        )

    async def _computed(
        self, reference: Reference, tag: str, url: URL
    ) -> Manifest | None:
        """Return the digest of *tag*'s manifest, where HEAD does not tell it."""
        answer = await self._manifest(reference, "GET", url)
        if answer.status in MISSING:
            return None
        computed = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        stated = answer.headers.get("Docker-Content-Digest", computed)
        _checked(reference, tag, stated)
        if stated.startswith("sha256:") and stated != computed:
            raise OddAnswer(f"{reference.tagged(tag)} is not what its digest says")
        return Manifest(stated, _kind(answer))


def _kind(answer: RegistryResponse) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _checked(reference: Reference, tag: str, digest: str) -> str:
    if not is_digest(digest):
        raise OddAnswer(
            f"{reference.host} answered with something that is not the digest of"
            f" {reference.path}:{tag}"
        )
    return digest


def _tags(reference: Reference, body: bytes) -> tuple[str, ...]:
    document: Any = http.parse(reference.host, body)
    listed = document.get("tags", 0) if isinstance(document, dict) else 0
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise RemoteError(
            f"{reference.host} answered with something that is not a list of tags"
        )
    # A name that can't be a tag can't be asked for either.
    return tuple(tag for tag in listed if isinstance(tag, str) and is_tag(tag))


def _followed(reference: Reference, url: URL, link: str) -> URL:
    """
    Return the URL of the next page, as *link* on the page *url* has it.

    Raises:
        RemoteError: the next page is on another host.
    """
    try:
        target = url.join(URL(link, encoded=True))
        foreign = target.host != url.host
    except ValueError:
        raise RemoteError(f"{reference.host} names no URL for further tags") from None
    if foreign:
        raise RemoteError(
            f"{reference.host} refers for further tags to {target.host}, which is not"
            " its own; nothing was asked there"
        )
    # Behind a proxy a registry may not know its own scheme and port.
    return URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=target.raw_path,
        query_string=target.raw_query_string,
        encoded=True,
    )


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
