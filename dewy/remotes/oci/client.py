"""Client of image registries: tags, manifests and blobs of a repository."""

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
Accepted media types. Indexes come first, or some registries choose an image of an index
themselves, whose digest differs by platform.
"""

PER_PAGE = 1000
"""Tags on a page; registries may put fewer."""

MOST_PAGES = 100

MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
"""Statuses of a missing manifest, whose tag may be listed all the same."""

BLOCKED = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS)
"""Statuses of a blocked image, such as a vulnerable one in Harbor."""

MOST_INDEXES = 1000
"""Maximum number of cached indexes."""

LARGEST_PAGE = 32 << 20
"""Maximum bytes of a page; some registries put all tags on one."""

LARGEST_MANIFEST = 4 << 20
"""Maximum bytes of a manifest: those that every registry has to accept."""


@dataclass(frozen=True, slots=True)
class TagPage:
    """
    A page of a listing.

    Attributes:
        etag: ETag of the page, or "".

        following: URL of the next page, or None.

        refused: Whether the registry refuses the parameter `n`.
    """

    tags: tuple[str, ...]
    etag: str
    following: URL | None
    refused: bool = False


async def connect(clients: Clients) -> OCI:
    """Return the client among *clients*."""
    return await clients.get("oci", OCI)


class OCI:
    """
    Client of registries with the API of the OCI Distribution Specification.

    Every method raises RemoteError if the registry fails; OddAnswer if it is about one
    tag or digest.
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
        """Return all tags of *reference*, each once, in the registry's order."""
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
        """Return the digest of the manifest of *tag*; None if there is none."""
        manifest = await self.stands_for(reference, tag)
        return manifest.digest if manifest else None

    async def stands_for(self, reference: Reference, tag: str) -> Manifest | None:
        """
        Return the manifest, or index, that *tag* stands for; None if there is none.

        By HEAD, which Docker Hub does not count as a pull, if the registry states the
        digest.

        Raises:
            OddAnswer: the registry blocks the image, or states no valid digest.
        """
        if not is_tag(tag):
            return None
        url = reference.api(f"manifests/{tag}")
        head = await self._manifest(reference, "HEAD", url)
        if head.status in MISSING:
            return None
        _require_not_blocked(reference, tag, head)
        stated = head.headers.get("Docker-Content-Digest", "")
        if head.status == HTTPStatus.OK and stated:
            return Manifest(_checked(reference, tag, stated), _kind(head))
        return await self._computed(reference, tag, url)

    async def platforms(
        self, reference: Reference, index: Manifest
    ) -> tuple[ImagePlatform, ...]:
        """
        Return the platforms of the images in *index*; empty if they are unknown.

        Cached, for a digest always stands for the same content.
        """
        known = self._platforms.get(index.digest)
        if known is None:
            url = reference.api(f"manifests/{index.digest}")
            answer = await self._manifest(reference, "GET", url)
            if answer.status != HTTPStatus.OK:
                return ()
            known = platforms_in(answer.body)
            if len(self._platforms) >= MOST_INDEXES:
                self._platforms.clear()
            self._platforms[index.digest] = known
        return known

    async def signatures(
        self, reference: Reference, digest: str
    ) -> tuple[ImageSignature, ...]:
        """Return cosign's signatures of the image *digest*, the newest first."""
        url = reference.api(f"manifests/{tag_of(digest)}")
        answer = await self._manifest(reference, "GET", url)
        return signatures_in(answer.body) if answer.status == HTTPStatus.OK else ()

    async def blob(self, reference: Reference, digest: str, limit: int) -> bytes:
        """Return the blob *digest*, of at most *limit* bytes."""
        url = reference.api(f"blobs/{digest}")
        answer = await self._api.send(
            reference, RegistryRequest("GET", url, limit=limit)
        )
        if digest != f"sha256:{hashlib.sha256(answer.body).hexdigest()}":
            raise OddAnswer(f"{reference.pull_name(digest)} does not have this digest")
        return answer.body

    async def _first(
        self, reference: Reference, pages: dict[URL, TagPage]
    ) -> URL | None:
        """Add the first page to *pages*; return the URL of the next."""
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
        allowed = [HTTPStatus.OK, *MISSING, *BLOCKED]
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
        """Return the manifest of *tag* by GET, where HEAD does not state its digest."""
        answer = await self._manifest(reference, "GET", url)
        if answer.status in MISSING:
            return None
        _require_not_blocked(reference, tag, answer)
        computed = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        stated = answer.headers.get("Docker-Content-Digest", computed)
        _checked(reference, tag, stated)
        if stated.startswith("sha256:") and stated != computed:
            raise OddAnswer(f"{reference.tagged(tag)} does not have the stated digest")
        return Manifest(stated, _kind(answer))


def _require_not_blocked(
    reference: Reference, tag: str, answer: RegistryResponse
) -> None:
    if answer.status in BLOCKED:
        raise OddAnswer(
            f"{reference.host} does not hand {reference.path}:{tag} out"
            f" ({answer.status})"
        )


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
    # An invalid tag cannot be requested.
    return tuple(tag for tag in listed if isinstance(tag, str) and is_tag(tag))


def _followed(reference: Reference, url: URL, link: str) -> URL:
    """
    Return the URL of the next page, by *link* on the page *url*.

    Raises:
        RemoteError: the link is no URL, or leads to another host.
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
    # Behind a reverse proxy a registry may not know its scheme and port.
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
    Return the target of the first link with `rel=next` in the values of `Link`
    (RFC 8288), as it is written; None for none.
    """
    for header in headers:
        at = 0
        while link := _LINK.match(header, at):
            if "next" in _relations(link[2]):
                return link[1].strip()
            at = link.end()
    return None


def _relations(parameters: str) -> list[str]:
    # Of several `rel` the first counts (RFC 8288, section 3.3); it may hold several.
    for name, quoted, plain in _PARAMETER.findall(parameters):
        if name.lower() == "rel":
            return str(quoted or plain).lower().split()
    return []
