"""Verification that an artifact is the one published."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import ChecksumError
from ..release import Release

log = logging.getLogger(__name__)

LIMIT = 1024 * 1024
"""Bytes that a published checksum file may have."""

OWN = (".sha256", ".sha256sum", ".sha256.txt", ".sha256sums")
SHARED = (
    "sha256sums",
    "sha256sums.txt",
    "checksums.txt",
    "checksums.sha256",
    "checksums_sha256.txt",
    "*_checksums.txt",
    "*-checksums.txt",
    "*_sha256sums.txt",
    "*-sha256sums.txt",
)

_HASH = r"(?P<hash>[0-9a-f]{64})"
_BARE = re.compile(_HASH, re.IGNORECASE)
_GNU = re.compile(rf"{_HASH}[ \t]+\*?(?P<name>\S.*)", re.IGNORECASE)
_BSD = re.compile(rf"SHA2?-?256 ?\((?P<name>.+)\) ?= ?{_HASH}", re.IGNORECASE)


def candidates(artifact: str, files: Collection[str]) -> list[str]:
    """
    Return those of *files* that may hold the checksum of *artifact*, best first.

    Files of its own come before those shared by a whole release.
    """
    own = [artifact + ending for ending in OWN if artifact + ending in files]
    shared = [
        name
        for pattern in SHARED
        for name in sorted(files)
        if fnmatchcase(name.lower(), pattern) and name != artifact
    ]
    return list(dict.fromkeys(own + shared))


def parse(text: str, artifact: str, source: str) -> str | None:
    """
    Find the SHA-256 of *artifact* in the checksum file called *source*.

    Lines of GNU and BSD form are understood, and in a file of the artifact's
    own a sum with no name. Without an entry for the exact name, one in some
    directory counts. Returns lower-case hex, or None if there is no entry.

    Raises:
        ChecksumError: entries for the artifact contradict each other.
    """
    own = source.lower() in {(artifact + ending).lower() for ending in OWN}
    entries = list(_entries(text))
    exact = {sum_ for name, sum_ in entries if name == artifact}
    below = {sum_ for name, sum_ in entries if name.endswith("/" + artifact)}
    bare = {sum_ for name, sum_ in entries if name in ("", "-") and own}
    found = exact or below or bare
    if len(found) > 1:
        raise ChecksumError(f"{source} gives {artifact} more than one checksum")
    return found.pop() if found else None


def _entries(text: str) -> Iterable[tuple[str, str]]:
    """Return the name and the sum of each line that is an entry; "" without a name."""
    for line in text.removeprefix("\ufeff").splitlines():
        line = line.strip()
        match = _BARE.fullmatch(line) or _GNU.fullmatch(line) or _BSD.fullmatch(line)
        if match:
            name = match.groupdict().get("name") or ""
            name = name.replace("\\", "/").removeprefix("./")
            yield name, match["hash"].lower()


async def verify(
    path: Path,
    *,
    release: Release,
    mode: str,
    read: Callable[[str], Awaitable[bytes]],
) -> str:
    """
    Compare the downloaded artifact at *path* with what was published.

    Length and digest that the release states are compared in every mode: they
    tell whether the transfer was whole. *mode* is about checksum files that the
    publisher put beside the artifact: `off` ignores them, `auto` uses the first
    that has an entry, `required` insists on one. *read* fetches one of them.

    Returns:
        `sha256:<hex>` of the file.

    Raises:
        ChecksumError: the artifact is another file, or a required checksum is missing.
        RemoteError: raised by *read*; a checksum file that is listed but cannot be read
            is not passed over.
    """
    actual, size = await asyncio.to_thread(_sha256, path)
    _check_stated(release, actual, size)
    source = "" if mode == "off" else await _check_published(release, actual, read)
    if mode == "required" and not source:
        raise ChecksumError(
            f"no checksum is published for {release.file}; publish "
            f"{release.file}.sha256 or SHA256SUMS beside it (sha256sum makes them)"
        )
    log.debug("Verified artifact", extra={"file": release.file, "by": source})
    return f"sha256:{actual}"


def _sha256(path: Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _check_stated(release: Release, actual: str, size: int) -> None:
    if release.size is not None and size != release.size:
        raise ChecksumError(
            f"{release.file} has {size} bytes; its store says {release.size}"
        )
    algorithm, _, expected = release.digest.lower().partition(":")
    if algorithm == "sha256":
        _compare(release.file, expected, actual, "its store")


async def _check_published(
    release: Release, actual: str, read: Callable[[str], Awaitable[bytes]]
) -> str:
    """Name of the checksum file that confirmed the artifact; "" if none has it."""
    for source in candidates(release.file, release.files):
        text = (await read(source)).decode(errors="replace")
        expected = parse(text, release.file, source)
        if expected is not None:
            _compare(release.file, expected, actual, source)
            return source
    return ""


def _compare(artifact: str, expected: str, actual: str, source: str) -> None:
    if expected != actual:
        raise ChecksumError(
            f"{artifact} has SHA-256 {actual}; {source} says {expected}"
        )
