"""
The form in which hosts share a registry's answer (pure).

The JSON is the original's, so that it and dewy can share a bucket; what only
dewy knows stands beside it under names that the original passes over.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from .. import urls
from ..errors import (
    Ambiguous,
    DewyError,
    NoRelease,
    NotYet,
    RateLimited,
    RemoteError,
)
from ..release import Release
from ..system import utc
from ..versions import Selection
from .candidates import in_detail

ZERO = "0001-01-01T00:00:00Z"
"""The zero time, by which the original says that there is none."""

_FRACTION = re.compile(r"\.(\d+)")


@dataclass(frozen=True, slots=True)
class Failure:
    """
    The failure of a registry to name a release, for hosts that did not ask it.

    Attributes:
        retry_after: Seconds from then on that the registry asked to stay away, or None.
    """

    kind: str
    text: str
    at: float
    since: datetime | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, exc: DewyError, at: float) -> Self:
        since = exc.since if isinstance(exc, NoRelease) else None
        asked = exc.retry_after if isinstance(exc, RemoteError) else None
        return cls(type(exc).__name__, str(exc), at, since, asked)

    def lasts(self, ttl: float) -> float:
        """Return the seconds for which nobody asks again."""
        return max(ttl, self.retry_after or 0.0)

    def error(self, now: float | None = None) -> DewyError:
        """Return the error as it is to be raised *now*, or as it was."""
        if self.kind == "NoRelease":
            return NoRelease(self.text, since=self.since)
        if self.kind == "NotYet":
            return NotYet(self.text)
        left = None
        if self.retry_after is not None:
            left = max(self.retry_after - abs((now or self.at) - self.at), 0.0)
        kind = RateLimited if self.kind == "RateLimited" else RemoteError
        return kind(self.text, retry_after=left)


@dataclass(frozen=True, slots=True)
class Passed:
    """A version that no host of this platform can have, and why."""

    tag: str
    text: str
    since: datetime | None = None
    unfinished: bool = False
    ambiguous: bool = False

    @classmethod
    def of(cls, tag: str, exc: NoRelease) -> Self:
        ambiguous = isinstance(exc, Ambiguous)
        text = in_detail(exc)
        return cls(tag, text, exc.since, exc.unfinished, ambiguous)

    def error(self) -> NoRelease:
        kind = Ambiguous if self.ambiguous else NoRelease
        return kind(self.text, since=self.since, unfinished=self.unfinished)


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """
    A registry's answer, and the host that asks anew.

    Attributes:
        release: The last answer, or None: the newest version that hosts like
            this one can have.

        passed: The versions newer than it.

        names: The names in the registry's list, newest version first; None where it has
            no list, or where the answer is from before there was one.

        fetched_at: The time of the answer; times are seconds since the epoch, by the
            clock of the store where it tells one. None for never.

        locked_at, locked_by: Since when somebody asks, and who; None for nobody.

        failure: The failure of the last question, if it led to no answer.
    """

    release: Release | None = None
    fetched_at: float | None = None
    locked_at: float | None = None
    locked_by: str = ""
    failure: Failure | None = None
    passed: tuple[Passed, ...] = ()
    names: tuple[str, ...] | None = None

    def age(self, now: float) -> float:
        """Seconds since the answer was given, also by a clock that is ahead."""
        return _since(self.fetched_at, now)

    def failed_ago(self, now: float) -> float:
        return _since(self.failure.at if self.failure else None, now)

    def locked_ago(self, now: float) -> float:
        return _since(self.locked_at, now)

    def claimed(self, by: str, now: float) -> RegistryAnswer:
        return replace(self, locked_at=now, locked_by=by)

    def unlocked(self, failure: Failure | None = None) -> RegistryAnswer:
        return replace(
            self, locked_at=None, locked_by="", failure=failure or self.failure
        )

    def text(self) -> bytes:
        document: dict[str, Any] = {
            "response": _response(self.release) if self.release else None,
            "fetched_at": moment(self.fetched_at),
            "locked_at": moment(self.locked_at),
            "locked_by": self.locked_by or None,
            "failure": _failed(self.failure) if self.failure else None,
            "passed": [_passed(each) for each in self.passed] or None,
            "names": None if self.names is None else list(self.names),
        }
        return json.dumps({k: v for k, v in document.items() if v is not None}).encode()

    @classmethod
    def parse(cls, text: bytes | None) -> RegistryAnswer:
        """Read one; an empty one if *text* is something else."""
        try:
            document = json.loads(text or b"{}")
            return cls(
                _release(document.get("response")),
                seconds(document.get("fetched_at")),
                seconds(document.get("locked_at")),
                str(document.get("locked_by") or ""),
                _failure(document.get("failure")),
                tuple(map(_passed_over, document.get("passed") or ())),
                _names(document.get("names")),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()


def key(registry_url: str, selection: Selection) -> str:
    """
    Return the cache key of a registry's answer to hosts like this one.

    As the original has it, where nothing else decides which answer is right.
    """
    platform = selection.platform
    named = [urls.canonical(registry_url), platform.os, platform.arch]
    named += [f"slot={selection.slot}"] if selection.slot else []
    named += ["musl"] if platform.libc == "musl" else []
    named += [f"v{platform.arm}"] if platform.arch == "arm" else []
    image = selection.image_platform
    named += [str(image)] if image and image.arch != platform.arch else []
    name = "|".join(named)
    return f"registry-cache/{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def moment(at: float | None) -> str:
    """Return a time as Go's RFC3339Nano writes it."""
    if at is None:
        return ZERO
    text = utc(at).isoformat(timespec="microseconds").removesuffix("+00:00")
    return text.rstrip("0").rstrip(".") + "Z"


def seconds(text: str | None) -> float | None:
    """
    Return the time that *text* names; None for the zero time, or none at all.

    Raises:
        ValueError: *text* is not a time.
    """
    if not text or text == ZERO:
        return None
    # Nanoseconds are more than datetime takes.
    shorter = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", text, count=1)
    return datetime.fromisoformat(shorter).timestamp()


def _since(at: float | None, now: float) -> float:
    # A clock that is ahead makes an answer look younger than it can be; as much
    # too young counts as much too old, so that it cannot be fresh for ever.
    return float("inf") if at is None else abs(now - at)


def _response(release: Release) -> dict[str, Any]:
    created = release.created_at
    return {
        "ID": release.id,
        "Tag": release.tag,
        "ArtifactURL": release.artifact_url,
        "CreatedAt": moment(created.timestamp()) if created else None,
        "Slot": release.slot,
        "Identity": release.identity,
        "Size": release.size,
        "Digest": release.digest,
        "Files": None if release.files is None else list(release.files),
    }


def _release(given: dict[str, Any] | None) -> Release | None:
    # The original's own answers do not say which content of its tag they mean.
    if not given or not given.get("Identity"):
        return None
    size, created = given.get("Size"), seconds(given.get("CreatedAt"))
    return Release(
        tag=str(given["Tag"]),
        artifact_url=str(given["ArtifactURL"]),
        identity=str(given["Identity"]),
        id=str(given.get("ID") or ""),
        size=None if size is None else int(size),
        digest=str(given.get("Digest") or ""),
        created_at=None if created is None else datetime.fromtimestamp(created, UTC),
        slot=str(given.get("Slot") or ""),
        files=_names(given.get("Files")),
    )


def _failed(failure: Failure) -> dict[str, Any]:
    since = failure.since
    return {
        "kind": failure.kind,
        "text": failure.text,
        "at": moment(failure.at),
        "since": moment(since.timestamp()) if since else None,
        "retry_after": failure.retry_after,
    }


def _failure(given: dict[str, Any] | None) -> Failure | None:
    at = seconds(given.get("at")) if given else None
    if not given or at is None:
        return None
    since = seconds(given.get("since"))
    return Failure(
        str(given["kind"]),
        str(given["text"]),
        at,
        None if since is None else utc(since),
        None if (asked := given.get("retry_after")) is None else float(asked),
    )


def _passed(passed: Passed) -> dict[str, Any]:
    return {
        "tag": passed.tag,
        "text": passed.text,
        "since": moment(passed.since.timestamp()) if passed.since else None,
        "unfinished": passed.unfinished,
        "ambiguous": passed.ambiguous,
    }


def _passed_over(given: dict[str, Any]) -> Passed:
    since = seconds(given.get("since"))
    return Passed(
        str(given["tag"]),
        str(given["text"]),
        None if since is None else utc(since),
        bool(given.get("unfinished")),
        bool(given.get("ambiguous")),
    )


def _names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(map(str, given))
