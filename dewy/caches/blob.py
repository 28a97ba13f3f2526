"""Files in pieces: cut and checked; everything here blocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from . import disk


@dataclass(frozen=True, slots=True)
class BlobManifest:
    """
    The parts of a file. A manifest is written after its chunks, so they were there; a
    chunk is named by its content, so it is still the same or gone.

    Attributes:
        sha256: Of the whole file, lower-case hex.

        size: Bytes.

        chunks: The SHA-256 of each, in their order.
    """

    sha256: str
    size: int
    chunks: tuple[str, ...]

    @classmethod
    def parse(cls, text: bytes | None) -> Self | None:
        """Read one; None if *text* is something else."""
        try:
            document: dict[str, Any] = json.loads(text or b"")
            made = cls(
                str(document["sha256"]),
                int(document["size"]),
                tuple(map(str, document["chunks"])),
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return made if all("/" not in chunk for chunk in made.chunks) else None

    def text(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Reading:
    """A reader that cuts the file *path* into chunks of *size* bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - closed by its owner
        self._size = size
        self._whole = hashlib.sha256()
        self._bytes = 0
        self._names: list[str] = []

    def next(self, count: int) -> list[tuple[str, bytes]]:
        """Up to *count* more chunks with their names; none at the end."""
        found: list[tuple[str, bytes]] = []
        while len(found) < count and (data := self._file.read(self._size)):
            self._whole.update(data)
            self._bytes += len(data)
            self._names.append(hashlib.sha256(data).hexdigest())
            found.append((self._names[-1], data))
        return found

    def manifest(self) -> BlobManifest:
        """Return the manifest of the content cut so far."""
        return BlobManifest(self._whole.hexdigest(), self._bytes, tuple(self._names))

    def close(self) -> None:
        self._file.close()


class Writing:
    """
    A writer that puts chunks together in the file *path*, which must not exist.

    Raises:
        FileExistsError: *path* exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = disk.create(path)
        self._whole = hashlib.sha256()
        self._bytes = 0

    def add(self, names: Sequence[str], chunks: Sequence[bytes | None]) -> bool:
        """Append *chunks*; False if one is missing or is not what its name says."""
        for name, chunk in zip(names, chunks, strict=True):
            if chunk is None or hashlib.sha256(chunk).hexdigest() != name:
                return False
            self._file.write(chunk)
            self._whole.update(chunk)
            self._bytes += len(chunk)
        return True

    def complete(self, manifest: BlobManifest) -> bool:
        """Return whether the file holds everything that *manifest* lists."""
        self._file.flush()
        return (manifest.sha256, manifest.size) == (
            self._whole.hexdigest(),
            self._bytes,
        )

    def close(self, *, keep: bool) -> None:
        self._file.close()
        if not keep:
            self._path.unlink(missing_ok=True)


def is_whole(path: Path, manifest: BlobManifest) -> bool:
    """Return whether the file at *path* is the one that *manifest* describes."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return (found, file.tell()) == (manifest.sha256, manifest.size)
