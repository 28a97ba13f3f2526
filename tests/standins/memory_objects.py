"""A bucket in memory, which does what it is told to."""

from __future__ import annotations

import hashlib
from collections import deque
from datetime import UTC, datetime
from itertools import count

from dewy.errors import RemoteError
from dewy.remotes.objects import Content, ObjectPage, Stat
from dewy.remotes.objects.store import quoted

PAGE = 3


class MemoryUpload:
    """Pieces, until it is finished."""

    def __init__(self, store: MemoryObjects, key: str) -> None:
        self._store = store
        self._key = key
        self.pieces: list[bytes] = []
        self.aborted = False

    def write(self, piece: bytes) -> None:
        self._store.attempt("write")
        self.pieces.append(piece)

    def finish(self) -> str:
        self._store.attempt("finish")
        return self._store.put(self._key, b"".join(self.pieces), "")

    def abort(self) -> None:
        self.aborted = True


class MemoryObjects:
    """
    An object store, which is its own place.

    Attributes:
        faults: What the next calls of a method raise.

        pieces: Offset and length of each piece that was asked for.

        uploads: Those that began.
    """

    name = "memory"
    files = ()

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.content: dict[str, bytes] = {}
        self.versions: dict[str, str] = {}
        self.faults: dict[str, deque[Exception]] = {}
        self.pieces: list[tuple[int, int]] = []
        self.uploads: list[MemoryUpload] = []
        self.closed = False
        self._count = count(1)

    def url(self, key: str) -> str:
        return f"memory://bucket/{quoted(key)}"

    def open(self) -> MemoryObjects:
        return self

    def close(self) -> None:
        self.closed = True

    def fail(self, call: str, *errors: Exception) -> None:
        self.faults.setdefault(call, deque()).extend(errors)

    def attempt(self, call: str) -> None:
        if faults := self.faults.get(call):
            raise faults.popleft()

    def page(self, prefix: str, delimiter: str, more: str) -> ObjectPage:
        self.attempt("page")
        found: dict[str, Stat | None] = {}
        for key in sorted(self.content):
            if key.startswith(prefix):
                head, mark, _ = key[len(prefix) :].partition(delimiter or "\0")
                found[prefix + head + mark] = None if mark else self._stat(key)
        left = [(name, stat) for name, stat in found.items() if name > more]
        return ObjectPage(
            tuple(stat for _, stat in left[:PAGE] if stat is not None),
            tuple(name for name, stat in left[:PAGE] if stat is None),
            left[PAGE - 1][0] if len(left) > PAGE else "",
        )

    def stat(self, key: str) -> Stat | None:
        self.attempt("stat")
        return self._stat(key) if key in self.content else None

    def piece(self, stat: Stat, offset: int, length: int) -> bytes:
        self.pieces.append((offset, length))
        self.attempt("piece")
        if self.versions.get(stat.key) != stat.version:
            raise RemoteError(f"{stat.key} was replaced")
        return self.content[stat.key][offset : offset + length]

    def read(self, key: str, limit: int) -> Content | None:
        self.attempt("read")
        if key not in self.content:
            return None
        return Content(self.content[key], self.versions[key], 1.0)

    def put(self, key: str, value: bytes, kind: str) -> str:
        self.attempt("put")
        self.content[key] = value
        self.versions[key] = str(next(self._count))
        return self.versions[key]

    def put_if(self, key: str, value: bytes, version: str) -> str | None:
        self.attempt("put_if")
        if self.versions.get(key, "") != version:
            return None
        return self.put(key, value, "")

    def upload(self, key: str, size: int) -> MemoryUpload:
        self.attempt("upload")
        self.uploads.append(MemoryUpload(self, key))
        return self.uploads[-1]

    def delete(self, key: str) -> None:
        self.attempt("delete")
        self.content.pop(key, None)
        self.versions.pop(key, None)

    def _stat(self, key: str) -> Stat:
        content, version = self.content[key], self.versions[key]
        at = datetime.fromtimestamp(1_900_000_000 + int(version), UTC)
        sums = {"md5": hashlib.md5(content).digest()}
        return Stat(key, len(content), version, at, sums)
