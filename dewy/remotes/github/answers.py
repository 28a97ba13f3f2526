"""What GitHub says about releases, from JSON to values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...errors import RemoteError


@dataclass(frozen=True, slots=True)
class GitHubAsset:
    """
    One file of a release.

    Attributes:
        digest: `sha256:<hex>`, or "" where GitHub states none.

        updated_at: As GitHub writes it; changes when the file is replaced.
    """

    id: int
    name: str
    size: int
    digest: str
    updated_at: str

    @property
    def identity(self) -> str:
        """Differs whenever the bytes do."""
        return self.digest or f"asset:{self.id}:{self.size}:{self.updated_at}"


@dataclass(frozen=True, slots=True)
class GitHubRelease:
    """
    A release of a repository, with those of its assets that are complete.

    Attributes:
        published_at: None while it is a draft.

        upload_url: Where new assets go, template included.
    """

    id: int
    tag: str
    draft: bool
    published_at: datetime | None
    upload_url: str
    assets: tuple[GitHubAsset, ...]

    def asset(self, name: str) -> GitHubAsset | None:
        """The asset called *name*."""
        return next((asset for asset in self.assets if asset.name == name), None)


def releases(host: str, document: object) -> tuple[GitHubRelease, ...]:
    """
    Read a page of `GET /repos/O/R/releases`.

    Raises:
        RemoteError: it is something else.
    """
    if not isinstance(document, list):
        raise _rubbish(host, "a list of releases")
    return tuple(release(host, item) for item in document)


def release(host: str, document: object) -> GitHubRelease:
    """
    Read one release.

    Raises:
        RemoteError: it is something else.
    """
    try:
        return _release(document)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _rubbish(host, "a release") from None


def _release(document: Any) -> GitHubRelease:
    return GitHubRelease(
        id=int(document["id"]),
        tag=_text(document["tag_name"]),
        draft=bool(document["draft"]),
        published_at=_moment(document.get("published_at")),
        upload_url=_text(document["upload_url"]),
        assets=tuple(
            _asset(asset)
            for asset in document["assets"]
            if asset["state"] == "uploaded"
        ),
    )


def _asset(document: Any) -> GitHubAsset:
    digest = document.get("digest") or ""
    return GitHubAsset(
        id=int(document["id"]),
        name=_text(document["name"]),
        size=int(document["size"]),
        digest=digest if re.fullmatch("sha256:[0-9a-f]{64}", digest) else "",
        updated_at=_text(document["updated_at"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _moment(value: str | None) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def token(host: str, document: object) -> tuple[str, datetime]:
    """
    Read an installation's token, and when it ends.

    Raises:
        RemoteError: it is something else.
    """
    try:
        fields: Any = document
        ends = _moment(_text(fields["expires_at"]))
        value = _text(fields["token"])
    except (KeyError, TypeError, ValueError):
        raise _rubbish(host, "an installation token") from None
    if ends is None or not value:
        raise _rubbish(host, "an installation token")
    return value, ends


def message(document: object) -> str:
    """GitHub's own words for an error, lower case, to be looked at, not shown."""
    text = document.get("message") if isinstance(document, dict) else None
    return text.lower() if isinstance(text, str) else ""


def _rubbish(host: str, wanted: str) -> RemoteError:
    return RemoteError(f"{host} answered with something that is not {wanted}")
