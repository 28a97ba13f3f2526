"""Decoding of GitHub's answers about releases."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from ...errors import RemoteError

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GitHubAsset:
    """
    A file of a release.

    Attributes:
        digest: `sha256:<hex>`, or "" if GitHub states none.

        updated_at: The time of the last change, in GitHub's form.
    """

    id: int
    name: str
    size: int
    digest: str
    updated_at: str

    @property
    def identity(self) -> str:
        """Text that changes whenever the content does."""
        return self.digest or f"asset:{self.id}:{self.size}:{self.updated_at}"


@dataclass(frozen=True, slots=True)
class GitHubRelease:
    """
    A release of a repository, with its complete assets.

    Attributes:
        published_at: The time of publication; None for a draft.

        upload_url: The URI template (RFC 6570) for uploads of assets.

        unfinished: The names of assets whose upload is not complete.

        odd: The reason why the details cannot be used, or "".
    """

    id: int
    tag: str
    draft: bool
    published_at: datetime | None
    upload_url: str
    assets: tuple[GitHubAsset, ...]
    unfinished: tuple[str, ...] = ()
    odd: str = ""

    def asset(self, name: str) -> GitHubAsset | None:
        """Return the asset called *name*; None if there is none."""
        return next((asset for asset in self.assets if asset.name == name), None)


def releases(host: str, document: object) -> tuple[GitHubRelease, ...]:
    """
    Decode a page of `GET /repos/O/R/releases`.

    Malformed details are noted in `GitHubRelease.odd`; entries without a tag are left
    out.

    Raises:
        RemoteError: *document* is not such a page.
    """
    if not isinstance(document, list):
        raise _unexpected(host, "a list of releases")
    found = tuple(_listed(item) for item in document if _tag(item))
    if document and not found:
        raise _unexpected(host, "a list of releases")
    return found


def release(host: str, document: object) -> GitHubRelease:
    """
    Decode a release.

    Raises:
        RemoteError: *document* is not a release.
    """
    try:
        return _release(document)
    except _Odd:
        raise _unexpected(host, "a release") from None


def _listed(document: Any) -> GitHubRelease:
    try:
        return _release(document)
    except _Odd as exc:
        draft = document.get("draft") not in (False, None)
        tag, id = _tag(document), document.get("id")
        # Releases are distinct by id, so one without gets an id of its own.
        number = id if isinstance(id, int) else -1 - abs(hash(tag))
        return GitHubRelease(number, tag, draft, None, "", (), odd=str(exc))


def _tag(document: Any) -> str:
    tag = document.get("tag_name") if isinstance(document, dict) else None
    return tag if isinstance(tag, str) else ""


class _Odd(ValueError):
    """A field differs from GitHub's documentation."""


def _release(document: Any) -> GitHubRelease:
    assets = _field(document, "assets", list)
    return GitHubRelease(
        id=_field(document, "id", int),
        tag=_field(document, "tag_name", str),
        draft=_field(document, "draft", bool),
        published_at=_moment(document.get("published_at")),
        upload_url=_field(document, "upload_url", str),
        assets=tuple(_asset(asset) for asset in assets if _is_complete(asset)),
        unfinished=tuple(
            _field(asset, "name", str) for asset in assets if not _is_complete(asset)
        ),
    )


def _is_complete(document: Any) -> bool:
    return _field(document, "state", str) == "uploaded"


def _asset(document: Any) -> GitHubAsset:
    digest = "" if document.get("digest") is None else _field(document, "digest", str)
    return GitHubAsset(
        id=_field(document, "id", int),
        name=_field(document, "name", str),
        size=_field(document, "size", int),
        digest=_checkable(_field(document, "name", str), digest),
        updated_at=_field(document, "updated_at", str),
    )


@lru_cache(maxsize=256)
def _checkable(asset: str, digest: str) -> str:
    """Return *digest* if dewy can check it, else "", with one warning."""
    if re.fullmatch("sha256:[0-9a-f]{64}", digest):
        return digest
    if digest:
        extra = {"asset": asset, "digest": digest[:80]}
        log.warning("Digest not understood", extra=extra)
    return ""


def _field(document: Any, name: str, kind: type[T]) -> T:
    if not isinstance(document, dict):
        raise _Odd(f"{_kind(document)} in place of an object with {name}")
    value = document.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _Odd(f"{name} is {_kind(value) if name in document else 'missing'}")
    return value


def _kind(value: object) -> str:
    """Return JSON's name for the type of *value*."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise _Odd("a time is malformed") from None
    if moment.tzinfo is None:
        raise _Odd("a time has no offset")
    return moment


def token(host: str, document: object) -> tuple[str, datetime]:
    """
    Decode an installation's token and its expiry.

    Raises:
        RemoteError: *document* is something else.
    """
    try:
        fields: Any = document
        ends = _moment(_field(fields, "expires_at", str))
        value = _field(fields, "token", str)
    except _Odd:
        raise _unexpected(host, "an installation token") from None
    if ends is None or not value:
        raise _unexpected(host, "an installation token")
    return value, ends


def message(document: object) -> str:
    """Return GitHub's text of an error in lower case: to search, not to show."""
    text = document.get("message") if isinstance(document, dict) else None
    return text.lower() if isinstance(text, str) else ""


def _unexpected(host: str, wanted: str) -> RemoteError:
    return RemoteError(f"{host} answered with something that is not {wanted}")
