"""Reading published checksum files, whichever tool wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
