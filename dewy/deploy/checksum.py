"""Verification that an artifact is the one published."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from ..errors import ChecksumError, Missing
from ..release import Release
from ..versions.filenames import is_archive, unpacked

log = logging.getLogger(__name__)

LIMIT = 1024 * 1024
"""Bytes that a published checksum file may have."""

SHARED = (
    *("sha256sums", "sha256sums.txt", "sha256sum", "sha256sum.txt", "shasums256.txt"),
    *("checksums.txt", "checksums.sha256", "checksums[_-]sha256.txt"),
    *("checksum.txt", "checksums", "checksum", "sha256.txt"),
    *("*_checksums.txt", "*-checksums.txt"),
    *("*[_-]checksums", "*[_-]checksums[_-]sha256.txt"),
    *("*_sha256sums", "*-sha256sums", "*_sha256sums.txt", "*-sha256sums.txt"),
    *("sha512sums", "sha512sums.txt", "sha512sum", "sha512sum.txt", "shasums512.txt"),
    *("checksums.sha512", "checksums[_-]sha512.txt", "sha512.txt"),
    *("*_sha512sums", "*-sha512sums", "*_sha512sums.txt", "*-sha512sums.txt"),
)
"""The files that releases share, by their names in lower case, best first."""

OTHER = (
    *("md5sum*", "*[_-]md5sum*", "sha[s0-9]*sum*", "*[_-]sha[s0-9]*sum*"),
    *("b2sum*", "*[_-]b2sum*", "checksum*", "*[_-]checksum*"),
)
"""Names in lower case that such files have where dewy does not read them."""

OWN_OTHER = (".md5*", ".sha[1-5]*", ".b2*", ".blake*", ".checksum*")
"""The same of an artifact's own, after its name, with or without its ending."""

USUAL = (
    "SHA256SUMS",
    "SHA256SUMS.txt",
    "sha256sums.txt",
    "checksums.txt",
    "checksums.sha256",
    "checksums_sha256.txt",
)
"""The shared files that are asked for where nothing tells what there is."""


def candidates(artifact: str, files: Collection[str]) -> list[str]:
    """
    Return those of *files* that may hold the checksum of *artifact*, best first.

    Files of its own come before those shared by a whole release.
    """
    own = [(artifact + ending).lower() for ending in OWN]
    found = [
        name
        for pattern in (*map(escape, own), *SHARED)
        for name in sorted(files)
        if fnmatchcase(name.lower(), pattern) and name != artifact
    ]
    return list(dict.fromkeys(found))


def unread(artifact: str, files: Collection[str]) -> list[str]:
    """Return those of *files* that are named as checksums, and are no candidates."""
    own = [
        escape(name) + ending
        for name in (artifact.lower(), unpacked(artifact))
        for ending in OWN_OTHER
    ]
    return [
        name
        for name in sorted(set(files) - {artifact, *candidates(artifact, files)})
        if any(fnmatchcase(name.lower(), each) for each in (*own, *OTHER))
        and not is_archive(name)
    ]


def usual(artifact: str) -> list[str]:
    """Return the names under which the checksum of *artifact* is usually published."""
    return [*(artifact + ending for ending in OWN), *USUAL]


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
    that has an entry, `required` insists on one. Where none has, and one of them is not
    understood, both fail. *read* fetches one of them.

    Returns:
        `sha256:<hex>` of the file.

    Raises:
        ChecksumError: the artifact is another file, a required checksum is missing, or
            what is published is not understood.
        RemoteError: raised by *read*; a checksum file that is listed but cannot be read
            is not passed over, nor one that may be there.
    """
    actual, size = await asyncio.to_thread(_digest, path, "sha256")
    _check_stated(release, actual, size)
    source = "" if mode == "off" else await _check_published(path, release, read)
    if mode == "required" and not source:
        raise ChecksumError(
            f"no checksum is published for {release.file}; publish "
            f"{release.file}.sha256 or SHA256SUMS beside it (sha256sum makes them)"
        )
    log.debug("Verified artifact", extra={"file": release.file, "by": source})
    return f"sha256:{actual}"


def _digest(path: Path, algorithm: str) -> tuple[str, int]:
    """Return the digest in hex, and the number of bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest(), file.tell()


def _check_stated(release: Release, actual: str, size: int) -> None:
    if release.size is not None and size != release.size:
        raise ChecksumError(
            f"{release.file} has {size} bytes; its store says {release.size}"
        )
    algorithm, _, expected = release.digest.lower().partition(":")
    if algorithm == "sha256":
        _compare(release.file, "sha256", expected, actual, "its store")


async def _check_published(
    path: Path, release: Release, read: Callable[[str], Awaitable[bytes]]
) -> str:
    """
    Return the name of the checksum file that confirmed the artifact; "" if none has it.
    """
    listed: list[str] = []
    broken: list[NotUnderstood] = []
    async for source, content in _published(release, read):
        listed.append(source)
        try:
            sums = await asyncio.to_thread(parse, content, release.file, source)
        except NotUnderstood as exc:
            broken.append(exc)
            continue
        if sums:
            await _check_sums(path, release.file, sums, source)
            for each in broken:
                log.warning("Checksum file not understood", extra={"error": str(each)})
            return source
    if broken:
        raise broken[0]
    if listed:
        extra = {"file": release.file, "looked_in": ", ".join(listed)}
        log.warning("No checksum published for the artifact", extra=extra)
    elif others := unread(release.file, release.files or ()):
        extra = {"file": release.file, "names": ", ".join(others)}
        log.warning("Checksum files not compared", extra=extra)
    return ""


async def _published(
    release: Release, read: Callable[[str], Awaitable[bytes]]
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the checksum files beside the artifact, or what their usual names bring."""
    if release.files is not None:
        for source in candidates(release.file, release.files):
            yield source, await read(source)
        return
    for source in usual(release.file):
        with suppress(Missing):
            content = await read(source)
            # Some servers answer everything with a page.
            if not content.lstrip().startswith(b"<"):
                yield source, content


async def _check_sums(
    path: Path, artifact: str, sums: Mapping[str, str], source: str
) -> None:
    for algorithm, expected in sums.items():
        actual, _ = await asyncio.to_thread(_digest, path, algorithm)
        _compare(artifact, algorithm, expected, actual, source)


def _compare(
    artifact: str, algorithm: str, expected: str, actual: str, source: str
) -> None:
    if expected != actual:
        shown = algorithm.upper().replace("SHA", "SHA-")
        raise ChecksumError(
            f"{artifact} has {shown} {actual}; {source} says {expected}"
        )


OWN = (
    *(".sha256", ".sha256sum", ".sha256.txt", ".sha256sums"),
    *(".sha512", ".sha512sum", ".sha512.txt", ".sha512sums"),
)
"""The endings of an artifact's own checksum file, after its name."""

ALGORITHMS = {64: "sha256", 128: "sha512"}
"""The algorithms by the length of a sum in hex."""

_HASH = r"(?P<hash>[0-9a-f]{128}|[0-9a-f]{64})"
_LINES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A sum alone; `sha256sum` and its kin; the same turned round; `sha256` of BSD
        # and `openssl dgst`.
        rf"(?:sha(?:256|512):)?{_HASH}",
        rf"(?P<escaped>\\?)(?:sha(?:256|512):)?{_HASH}[ \t]+\*?(?P<name>\S.*)",
        rf"(?P<name>[^\s=]+?):?[ \t]+(?:sha(?:256|512):)?{_HASH}",
        rf"(?P<escaped>\\?)SHA(?:2-)?(?:256|512) ?\((?P<name>.+)\) ?= ?{_HASH}",
        # PowerShell's `Get-FileHash`, as a table or as CSV.
        rf'"?SHA(?:256|512)"?[\s,]+"?{_HASH}"?[\s,]+"?(?P<name>[^\s"].*?)"?',
    )
)
_RECORDS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # The same as a list, and `certutil -hashfile`.
        rf"^Hash[ \t]*:[ \t]*{_HASH}\s*^Path[ \t]*:[ \t]*(?P<name>\S.*)$",
        rf"^SHA(?:256|512) hash of (?:file )?(?P<name>.+):\s*^{_HASH}\s*$",
    )
)
_ESCAPE = re.compile(r"\\([\\nr])")
_MEANT = {"\\": "\\", "n": "\n", "r": "\r"}
# PowerShell cuts a path to the width of the terminal it thinks it has.
_CUT = ("...", "…")


class NotUnderstood(ChecksumError):
    """A published checksum file holds nothing that could be compared."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """
    A sum.

    Attributes:
        name: The name of its file, or "".

        cut: Whether that is unknown because it was cut off.
    """

    name: str
    sum: str
    cut: bool = False


def parse(content: bytes, artifact: str, source: str) -> dict[str, str]:
    """
    Find the checksums of *artifact* in the file *source*, which holds *content*.

    Without an entry for the exact name, one in some directory counts, and in a file of
    the artifact's own the only sum there is. Return lower-case hex by algorithm, as
    hashlib names it; nothing if the entries are about other files.

    Raises:
        NotUnderstood: the file has no entry at all, or the one for the artifact is not
            one.
        ChecksumError: entries for the artifact contradict each other.
    """
    own = source.lower() in {(artifact + ending).lower() for ending in OWN}
    entries, others = _read(content)
    if not any(own or entry.name for entry in entries):
        raise _not_understood(f"{source} has no line")
    exact = {entry.sum for entry in entries if entry.name == artifact}
    below = {entry.sum for entry in entries if entry.name.endswith("/" + artifact)}
    rest = {entry.sum for entry in entries if own}
    found = exact or below or rest
    if not found and (_is_named(artifact, others) or any(e.cut for e in entries)):
        raise _not_understood(f"{source} has no line for {artifact}")
    sums = {ALGORITHMS[len(each)]: each for each in found}
    if len(found) > len(sums):
        raise ChecksumError(f"{source} gives {artifact} more than one checksum")
    return sums


def _not_understood(what: str) -> NotUnderstood:
    return NotUnderstood(
        f"{what} that dewy understands as a SHA-256 or SHA-512 sum; "
        "publish what sha256sum prints, or use --verify-checksum off"
    )


def _is_named(artifact: str, lines: Iterable[str]) -> bool:
    """Return whether one of *lines*, comments left out, names *artifact*."""
    name = re.compile(rf"(?<![\w.-]){re.escape(artifact)}(?![\w.-])", re.IGNORECASE)
    return any(name.search(line) for line in lines if not line.startswith("#"))


def _read(content: bytes) -> tuple[list[_Entry], list[str]]:
    """Return the entries, in the first encoding that has any, and the other lines."""
    wide = ("utf-16", "utf-16-be") if b"\0" in content else ()
    for encoding in ("utf-8-sig", *wide):
        lines = content.decode(encoding, errors="replace").splitlines()
        text = "\n".join(lines)
        entries = [_entry(each) for form in _RECORDS for each in form.finditer(text)]
        read = [(line.strip(), _match(line.strip())) for line in lines]
        entries += [_entry(match) for _, match in read if match]
        if entries:
            return entries, [line for line, match in read if not match]
    return [], []


def _match(line: str) -> re.Match[str] | None:
    return next(filter(None, (form.fullmatch(line) for form in _LINES)), None)


def _entry(match: re.Match[str]) -> _Entry:
    groups = match.groupdict()
    name = (groups.get("name") or "").rstrip()
    if groups.get("escaped"):
        name = _ESCAPE.sub(lambda escape: _MEANT[escape[1]], name)
    else:
        name = name.replace("\\", "/")
    cut = name.endswith(_CUT)
    if name == "-" or cut:
        name = ""
    return _Entry(name.removeprefix("./"), match["hash"].lower(), cut)
