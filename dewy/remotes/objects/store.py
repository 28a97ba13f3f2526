"""
The interface to an object store, which one class per vendor implements, and their base.

Every method blocks, for as long as one request and its answer take: `Objects`
runs them in threads, gives them deadlines, and puts them together.
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
"""Seconds after which a piece is taken as far as it has come."""


@dataclass(frozen=True, slots=True)
class Stat:
    """
    A store's description of an object.

    Attributes:
        version: Differs whenever the object was written; only the store knows
            what it means.

        modified: The time of that write (aware).

        sums: Digests of the whole by algorithm, where the store tells any.
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
        folders: The common beginnings of keys, up to and with the delimiter.

        more: The token to ask for the next page with; "" on the last page.
    """

    objects: tuple[Stat, ...]
    folders: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """
    A small object.

    Attributes:
        now: The store's clock as it answered, or None.
    """

    value: bytes
    version: str
    now: float | None


class Upload(Protocol):
    """An object on its way; nobody sees it before it is whole."""

    def write(self, piece: bytes) -> None:
        """Send the next `PIECE` bytes, or, the last time, fewer."""
        ...

    def finish(self) -> str:
        """Have it appear; returns its version."""
        ...

    def abort(self) -> None:
        """Have the store forget what was sent."""
        ...


class ObjectStore(Protocol):
    """
    A bucket.

    Every method raises RemoteError: the store did not do its part; `Interrupted`
    where the same request may well succeed a moment later, and `AccessRefused`
    where it may with what the next call reads.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the next call may read, as with credentials."""
        ...

    def page(self, prefix: str, delimiter: str, more: str) -> ObjectPage:
        """List keys that begin with *prefix*, those with *delimiter* as folders."""
        ...

    def stat(self, key: str) -> Stat | None:
        """Return the object under *key*, digests included; None if there is none."""
        ...

    def piece(self, stat: Stat, offset: int, length: int) -> bytes | bytearray:
        """
        Return *length* bytes of this version, which must not have been replaced.

        Fewer, but at least one, where they come so slowly that it takes `HASTE`.
        """
        ...

    def read(self, key: str, limit: int) -> Content | None:
        """
        Return the object under *key*, of at most *limit* bytes; None if there is none.
        """
        ...

    def put(self, key: str, value: bytes, kind: str) -> str:
        """Write an object of the media type *kind*; returns its version."""
        ...

    def put_if(self, key: str, value: bytes, version: str) -> str | None:
        """
        Write an object if *version* is the present one, "" if there is none.

        Returns the new version, or None where somebody else was first. Never
        tried twice: an answer that got lost would look like a defeat.
        """
        ...

    def upload(self, key: str, size: int) -> Upload:
        """Begin to write an object of *size* bytes."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Location(Protocol):
    """
    A bucket, and a prefix or a key in it.

    Attributes:
        path: The part of the URL behind the bucket, decoded, without slashes around it.

        name: Differs between buckets, whatever their path.

        files: The files that `open` may read, as with credentials.
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
    """Return the prefix of every key of *place*: empty, or up to a slash."""
    return f"{place.path}/" if place.path else ""


def quoted(key: str) -> str:
    """Return *key* as a URL holds it; what needs no quoting stays as it is."""
    return quote(key, safe="/+@:,=!$&'()*;")


MOST, WITHIN = 3, 60.0
"""The number of new clients in so many seconds, whatever is refused."""


class Renewals:
    """Times at which a client was let go of, for what it had read was refused."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=MOST)

    def permitted(self) -> bool:
        """Return whether another one is due, and note it."""
        now = self._clock()
        if len(self._times) == MOST and now - self._times[0] < WITHIN:
            return False
        self._times.append(now)
        return True


class NoCredentials(RemoteError):
    """No credentials were found; those that come later are read by another client."""


class ClientStore(ABC):
    """
    A bucket behind the client of its vendor, which keeps to what it has read.

    After a refusal of credentials or of a certificate, the next call makes another.

    Args:
        shown: The bucket, for messages.

        reads: Returns the files that making a client reads, by the environment.

        translated: Turns what the client raises into RemoteError, naming the bucket;
            an answer that is expected ends the block quietly.
    """

    def __init__(self, shown: str, reads: Reads, translated: Translated) -> None:
        self._shown = shown
        self._reads = reads
        self._translated = translated
        self._lock = threading.Lock()
        self._renewals = Renewals()
        self._made: Any = None

    def __str__(self) -> str:
        return self._shown

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the next call reads: none while there is a client."""
        return () if self._made is not None else self._reads(os.environ)

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.close()
            self._made = None

    @contextmanager
    def _asking(self, expected: frozenset[Any] = frozenset()) -> Iterator[Any]:
        """Lend the client; the block ends quietly with an answer that is *expected*."""
        try:
            with self._translated(self._shown, expected):
                yield self._client()
        except (AccessRefused, NoCredentials):
            if self._renewals.permitted():
                self.close()
            raise

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    @abstractmethod
    def _connect(self) -> Any:
        """Make a client; this reads files, and may ask for credentials."""
