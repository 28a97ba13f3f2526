"""Reading published checksum files, whichever tool wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ChecksumError

__all__ = ["OWN", "NotUnderstood", "parse"]

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
    name: str
    sum: str


def parse(content: bytes, artifact: str, source: str) -> dict[str, str]:
    """
    Find the checksums of *artifact* in the file *source*, which holds *content*.

    Without an entry for the exact name, one in some directory counts, and in a file of
    the artifact's own the only sum there is. Return lower-case hex by algorithm, as
    hashlib names it; nothing if the entries are about other files.

    Raises:
        NotUnderstood: the file has no entry at all.
        ChecksumError: entries for the artifact contradict each other.
    """
    own = source.lower() in {(artifact + ending).lower() for ending in OWN}
    entries = _read(content)
    if not any(own or entry.name for entry in entries):
        raise NotUnderstood(
            f"{source} has no line that dewy understands as a SHA-256 or SHA-512 sum; "
            "publish what sha256sum prints, or use --verify-checksum off"
        )
    exact = {entry.sum for entry in entries if entry.name == artifact}
    below = {entry.sum for entry in entries if entry.name.endswith("/" + artifact)}
    rest = {entry.sum for entry in entries if own}
    found = exact or below or rest
    sums = {ALGORITHMS[len(each)]: each for each in found}
    if len(found) > len(sums):
        raise ChecksumError(f"{source} gives {artifact} more than one checksum")
    return sums


def _read(content: bytes) -> list[_Entry]:
    """Return the entries, in the first encoding in which there are any."""
    wide = ("utf-16", "utf-16-be") if b"\0" in content else ()
    for encoding in ("utf-8-sig", *wide):
        text = content.decode(encoding, errors="replace")
        if entries := list(_entries(text)):
            return entries
    return []


def _entries(text: str) -> Iterator[_Entry]:
    text = "\n".join(text.splitlines())
    for record in _RECORDS:
        yield from map(_entry, record.finditer(text))
    for line in text.split("\n"):
        matches = (form.fullmatch(line.strip()) for form in _LINES)
        if match := next(filter(None, matches), None):
            yield _entry(match)


def _entry(match: re.Match[str]) -> _Entry:
    groups = match.groupdict()
    name = (groups.get("name") or "").rstrip()
    if groups.get("escaped"):
        name = _ESCAPE.sub(lambda escape: _MEANT[escape[1]], name)
    else:
        name = name.replace("\\", "/")
    if name == "-" or name.endswith(_CUT):
        name = ""
    return _Entry(name.removeprefix("./"), match["hash"].lower())
