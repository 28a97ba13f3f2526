"""
The interface of an object store, with one implementation per vendor, and their base.

Every method blocks for one request and its answer: `Objects` runs them in threads, with
deadlines, and combines them.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from ...errors import AccessRefused, RemoteError

Reads = Callable[[Mapping[str, str]], tuple[Path, ...]]
Translated = Callable[[str, frozenset[Any]], AbstractContextManager[None]]

HASTE = 30.0
"""Seconds after which `ObjectStore.piece` returns the bytes it has."""


@dataclass(frozen=True, slots=True)
class Stat:
    """
    A store's description of an object.

    Attributes:
        version: An opaque value that changes with the content.

        modified: The time of the last write (aware).

        sums: Digests of the whole object by algorithm, as far as the store states any.
    """

    key: str
    size: int
    version: str
    modified: datetime
    sums: dict[str, bytes] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """
    A page of a listing.

    Attributes:
        folders: The common prefixes of keys, each up to and with the delimiter.

        more: The token of the next page; "" on the last page.
    """

    objects: tuple[Stat, ...]
    folders: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """
    A small object.

    Attributes:
        now: The `Date` of the store's answer, in seconds since the epoch, or None.
    """

    value: bytes
    version: str
    now: float | None


class Upload(Protocol):
    """An upload in parts; the object appears when it is finished."""

    def write(self, piece: bytes) -> None:
        """Send the next *piece*; all but the last have the same length."""
        ...

    def finish(self) -> str:
        """Complete the upload; return the version of the object."""
        ...

    def abort(self) -> None:
        """Let the store discard what was sent."""
        ...


class ObjectStore(Protocol):
    """
    A bucket.

    Every method raises RemoteError if the store fails: `Interrupted` where the same
    request may succeed a moment later, `AccessRefused` where it may with what the next
    call reads: credentials or authorities.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """Files, such as those with credentials, that the next call may read."""
        ...

    def page(self, prefix: str, delimiter: str, more: str) -> ObjectPage:
        """
        Return a page of the keys that begin with *prefix*; those that hold *delimiter*
        behind it come as folders.

        Args:
            more: The token from the page before, "" for the first.
        """
        ...

    def stat(self, key: str) -> Stat | None:
        """Return the description of *key*, digests included; None if there is none."""
        ...

    def piece(self, stat: Stat, offset: int, length: int) -> bytes | bytearray:
        """
        Return *length* bytes at *offset*; fewer, but at least one, after `HASTE`.

        Raises:
            RemoteError: the object was replaced since *stat*.
        """
        ...

    def read(self, key: str, limit: int) -> Content | None:
        """Return the object *key*, of at most *limit* bytes; None if there is none."""
        ...

    def put(self, key: str, value: bytes, kind: str) -> str:
        """Write an object of the media type *kind*; return its version."""
        ...

    def put_if(self, key: str, value: bytes, version: str) -> str | None:
        """
        Write an object if *version* is its current one ("" for none); return the new
        version, or None if another writer was faster.

        Makes one attempt: after a lost answer a second would fail by the first.
        """
        ...

    def upload(self, key: str, size: int) -> Upload:
        """Begin the upload of an object of *size* bytes."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object, if there is one."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Location(Protocol):
    """
    A bucket, and a prefix or a key in it.

    Attributes:
        path: The part of the URL behind the bucket, decoded, without slashes around it.

        name: A unique name of the bucket, whatever the path.

        files: Files, such as those with credentials, that `open` may read.
    """

    @property
    def path(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[Path, ...]: ...

    def url(self, key: str) -> str:
        """Return the URL of the object *key* in the same bucket."""
        ...

    def open(self) -> ObjectStore:
        """
        Open the store; this blocks.

        Raises:
            ConfigError: the location is invalid as written.
        """
        ...


def prefix(place: Location) -> str:
    """Return the prefix of all keys of *place*: "", or its path with a slash."""
    return f"{place.path}/" if place.path else ""


def quoted(key: str) -> str:
    """Return *key* quoted for a URL, as little as possible."""
    return quote(key, safe="/+@:,=!$&'()*;")


MAX_RENEWALS, WITHIN = 3, 60.0
"""Maximum number of new clients within so many seconds."""


class Renewals:
    """Rate limit of the clients that are replaced after a refusal."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=MAX_RENEWALS)

    def permitted(self) -> bool:
        """Return whether a client may be replaced now, and count it if so."""
        now = self._clock()
        if len(self._times) == MAX_RENEWALS and now - self._times[0] < WITHIN:
            return False
        self._times.append(now)
        return True


class NoCredentials(RemoteError):
    """No credentials were found; a new client may find them later."""


class ClientStore(ABC):
    """
    A bucket behind its vendor's client, which reads credentials and authorities once.

    After a refusal of either the next call creates a new client.

    Args:
        shown: The bucket, for messages.

        reads: Returns the files that the creation of a client reads, by environment.

        translated: Makes a context that turns the client's errors into RemoteError, and
            suppresses those with an expected status or code.
    """

    def __init__(self, shown: str, reads: Reads, translated: Translated) -> None:
        self._shown = shown
        self._reads = reads
        self._translated = translated
        self._lock = threading.Lock()
        self._renewals = Renewals()
        self._current: Any = None

    def __str__(self) -> str:
        return self._shown

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that the next call reads: none while there is a client."""
        return () if self._current is not None else self._reads(os.environ)

    def close(self) -> None:
        with self._lock:
            if self._current is not None:
                self._current.close()
            self._current = None

    @contextmanager
    def _asking(self, expected: frozenset[Any] = frozenset()) -> Iterator[Any]:
        """Yield the client; suppress errors with an *expected* status or code."""
        try:
            with self._translated(self._shown, expected):
                yield self._client()
        except (AccessRefused, NoCredentials):
            if self._renewals.permitted():
                self.close()
            raise

    def _client(self) -> Any:
        with self._lock:
            if self._current is None:
                self._current = self._connect()
            return self._current

    @abstractmethod
    def _connect(self) -> Any:
        """Create a client; this reads files, and may request credentials."""
