"""File names of artifacts: the kind of file, and the platform it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

#: In place of an architecture: all of them (`darwin_universal`, `linux_noarch`).
ANY = "any"

#: The C libraries a name may ask for.
GLIBC, MUSL = "glibc", "musl"

_ARCHIVE = re.compile(r"\.(?:tar\.(?:gz|bz2|xz|zst)|tgz|tbz2|txz|tzst|tar|zip)\Z")
_HASH = r"(?:sha(?:1|224|256|384|512)|md5)"
_COMPANION = re.compile(
    rf"(?:\.(?:{_HASH}|asc|sig|minisig|pem|crt|cert|pub|sigstore|att|intoto)"
    rf"|(?:^|[._-])(?:{_HASH}sums?|checksums?(?:[._-]{_HASH})?|signatures?"
    r"|attestations?|provenance|sbom|spdx|cdx|cyclonedx))(?:\.(?:txt|jsonl?|xml))?\Z"
)

_SECONDARY = re.compile(
    r"coverage|dbg(?:syms?)?|debug(?:info|source|syms?|symbols)?|devel|docs?|dsym"
    r"|headers|man(?:pages)?|pdb|prof(?:il(?:e|ing))?|sources?|src|syms?|symbols?"
    r"|tests?|unstripped"
)
# Spellings that do not make two names different programs.
_SAME_WORD = {"x8664": "amd64", "x64": "amd64", "aarch64": "arm64", "macos": "darwin"}

_OSES = {
    "linux": "linux",
    "darwin": "darwin",
    "macos": "darwin",
    "macosx": "darwin",
    "osx": "darwin",
    "mac": "darwin",
    "windows": "windows",
    "win": "windows",
    "freebsd": "freebsd",
    "openbsd": "openbsd",
    "netbsd": "netbsd",
    "dragonfly": "dragonfly",
    "solaris": "solaris",
    "illumos": "illumos",
    "aix": "aix",
    "android": "android",
    "ios": "ios",
}
_ARCHES = {
    "x64": "amd64",
    "64bit": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "arm64v8": "arm64",
    "armv8": "arm64",
    "arm32": "arm",
    "armhf": "arm",
    "armel": "arm",
    "armv8l": "arm",  # a 64-bit processor that runs 32-bit programs
    "386": "386",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "ia32": "386",
    "x86": "386",
    "32bit": "386",
    "loong64": "loong64",
    "loongarch64": "loong64",
    "mips": "mips",
    "mips64": "mips64",
    "mips64el": "mips64le",
    "mips64le": "mips64le",
    "mipsel": "mipsle",
    "mipsle": "mipsle",
    "powerpc64le": "ppc64le",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "riscv64gc": "riscv64",
    "s390x": "s390x",
    "anyarch": ANY,
}
_LIBCS = {
    "alpine": MUSL,
    "glibc": GLIBC,
    "gnu": GLIBC,
    "gnueabi": GLIBC,
    "gnueabihf": GLIBC,
    "musl": MUSL,
    "musleabi": MUSL,
    "musleabihf": MUSL,
}
_LEVELLED = re.compile(
    r"(?P<amd64>amd64)(?:v(?P<v>[1-4]))?"
    r"|arm(?:(?:32)?v?(?P<arm>[5-7])(?:a|l|hf|te|tel|tejl)?)?"
)

_START, _END = r"(?<![a-z0-9])", r"(?![a-z0-9])"
_OS = rf"{_START}({'|'.join(sorted(_OSES, key=len, reverse=True))})"
# Applied in this order, so that each property of a name becomes one word.
_REWRITES = tuple(
    (re.compile(before), after)
    for before, after in (
        (rf"{_OS}(64|32)(?:bit)?{_END}", r"\1 \2bit"),
        (rf"{_OS}(?=amd64|x64|x86|arm|aarch64|i?[3-6]86|universal|musl)", r"\1 "),
        (rf"{_OS}[-_. ]?(?:universal2?|all|any|noarch|fat){_END}", r"\1 anyarch"),
        (rf"{_START}linux[-_]android(?:eabi)?{_END}", "android"),
        (rf"{_START}x86[-_]?64(?![0-9])", "amd64"),
        # Not the version in app_linux_amd64_v1.2.3.
        (rf"{_START}(amd64|arm)[-_]v([0-9])(?!\.[0-9]|[a-z0-9])", r"\1v\2"),
        # Version 1.0.386 names no architecture; app.1.0.0.386.zip does.
        (rf"{_START}v?[0-9]+(?:\.[0-9]+){{2}}{_END}", " "),
    )
)

_Marks: TypeAlias = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Target:
    """
    The platform that a file name states; empty where it states nothing.

    Attributes:
        os: Go's name of the operating system.

        arch: Go's name of the architecture, or `any`.

        level: The minimum level of the processor: 5 to 7 for `arm`, 1 to 4 for `amd64`,
            0 if the name states none.

        libc: `glibc`, `musl`, or "".
    """

    os: str = ""
    arch: str = ""
    level: int = 0
    libc: str = ""


def is_archive(name: str) -> bool:
    """Return whether *name* has the extension of an archive that can be unpacked."""
    return _ARCHIVE.search(name.lower()) is not None


def unpacked(name: str) -> str:
    """Return *name* in lower case, without the extension of an archive."""
    return _ARCHIVE.sub("", name.lower())


def is_companion(name: str) -> bool:
    """Return whether *name* is a checksum, signature or inventory, packed or not."""
    return _COMPANION.search(unpacked(name)) is not None


def secondary(name: str) -> int:
    """Count the words for symbols, sources, tests and the like; 0 for a program."""
    return sum(_SECONDARY.fullmatch(word) is not None for word in _words(name))


def essence(name: str) -> tuple[str, ...]:
    """Return the words of *name*; equal for the same program packed in another way."""
    return tuple(_SAME_WORD.get(word, word) for word in _words(name))


def target(name: str) -> Target:
    """
    Return the platform that *name* states.

    If several words name an operating system or an architecture, the pair closest
    together counts, and of equally close pairs the last: `linux-tools_darwin_amd64.tgz`
    is for darwin.
    """
    words = _words(name)
    oses = [(at, _OSES[word]) for at, word in enumerate(words) if word in _OSES]
    arches = [(at, word) for at, word in enumerate(words) if _architecture(word)]
    os, arch_word = _closest(oses, arches)
    arch, level = _architecture(arch_word) or ("", 0)
    libcs = [_LIBCS[word] for word in words if word in _LIBCS]
    return Target(os, arch, level, libcs[-1] if libcs else "")


def _words(name: str) -> list[str]:
    text = _ARCHIVE.sub("", name.lower())
    for before, after in _REWRITES:
        text = before.sub(after, text)
    return re.findall(r"[a-z0-9]+", text)


def _architecture(word: str) -> tuple[str, int] | None:
    """Return the architecture and level that *word* names; None if it names none."""
    if word in _ARCHES:
        return _ARCHES[word], 0
    match = _LEVELLED.fullmatch(word)
    if match is None:
        return None
    arch = "amd64" if match["amd64"] else "arm"
    return arch, int(match["v"] or match["arm"] or 0)


def _closest(oses: _Marks, arches: _Marks) -> tuple[str, str]:
    """Return the closest pair of an operating system and an architecture, or ""."""
    if not (oses and arches):
        return _last(oses), _last(arches)
    pairs = ((one, other) for one in oses for other in arches)
    (_, os), (_, arch) = max(pairs, key=_closeness)
    return os, arch


def _closeness(pair: tuple[tuple[int, str], tuple[int, str]]) -> tuple[int, int]:
    (os_at, _), (arch_at, _) = pair
    return (-abs(os_at - arch_at), max(os_at, arch_at))


def _last(marks: _Marks) -> str:
    return marks[-1][1] if marks else ""
