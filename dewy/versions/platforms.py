"""Platforms of hosts and of images, and the choice of the artifact for a host."""

from __future__ import annotations

import os
import platform as host
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from ..release import Refusal
from .filenames import (
    ANY,
    GLIBC,
    MUSL,
    Target,
    essence,
    is_archive,
    is_companion,
    secondary,
    target,
)

#: Words for symbols and the like, architecture, C library; less is better.
Rank: TypeAlias = tuple[int, int, int]

#: Placeholder for the version in the option `artifact`.
VERSION = "{version}"

_NARROW = {"amd64": "386", "arm64": "arm"}
_NEWEST_ARM = 7


@dataclass(frozen=True, slots=True)
class Platform:
    """
    The platform of a host, in Go's names.

    Attributes:
        os: `linux`, `darwin`.

        arch: `amd64`, `arm64`, `arm`, `386`, ….

        libc: `glibc` or `musl`; "" where it makes no difference, or is unknown.

        arm: The newest 32-bit ARM architecture that the processor runs, 5 to 7; used
            if *arch* is `arm`.
    """

    os: str
    arch: str
    libc: str = ""
    arm: int = _NEWEST_ARM

    @classmethod
    def here(cls) -> Self:
        """Return the platform of this process; 32-bit if the interpreter is."""
        system = sys.platform.rstrip("0123456789")
        machine = host.machine().lower()
        processor = target(machine)
        arch = processor.arch or machine
        if sys.maxsize < 2**32:
            arch = _NARROW.get(arch, arch)
        level = processor.level if processor.arch == "arm" else 0
        libc = _libc() if system == "linux" else ""
        return cls(system, arch, libc, level or _NEWEST_ARM)


@dataclass(frozen=True, slots=True)
class ArtifactChoice:
    """
    The artifact for a host, or None, and every other name with its reason.

    Attributes:
        equal: The names that fit equally well, if there is no choice for that reason.
    """

    name: str | None
    refused: tuple[Refusal, ...]
    equal: tuple[str, ...] = ()


def choose_artifact(
    names: Iterable[str],
    platform: Platform,
    wanted: str = "",
    versions: Sequence[str] = (),
) -> ArtifactChoice:
    """
    Choose the artifact for *platform* by its file name.

    Only archives are candidates, and their names have to state both operating system
    and architecture. Of one program packed in two ways the first listed is chosen; of
    others that fit equally well, none. As a last resort, a sole archive whose name
    states neither is taken to suit every platform (a static site).

    Args:
        names: The published names, in the registry's order.

        platform: The platform to run on.

        wanted: The exact name to choose instead, of whatever form.

        versions: The spellings that `{version}` in *wanted* may stand for.
    """
    if wanted:
        return _choose_by_name(names, wanted, versions)
    judged = {name: _judge(name, platform) for name in names}
    fitting = _fitting(judged)
    if len(fitting) > 1:
        return ArtifactChoice(None, _refused(judged, None, fitting), tuple(fitting))
    best = fitting[0] if fitting else _neutral(judged)
    return ArtifactChoice(best, _refused(judged, best))


def _fitting(judged: Mapping[str, Rank | str]) -> list[str]:
    """Return the names that fit best, one for each program."""
    ranks = {name: rank for name, rank in judged.items() if isinstance(rank, tuple)}
    best = min(ranks.values(), default=None)
    distinct: dict[tuple[str, ...], str] = {}
    for name, rank in ranks.items():
        if rank == best:
            distinct.setdefault(essence(name), name)
    return list(distinct.values())


def _refused(
    judged: Mapping[str, Rank | str], best: str | None, equal: Sequence[str] = ()
) -> tuple[Refusal, ...]:
    outdone = f"{best or ' or '.join(sorted(equal))} comes first"

    def reason(name: str, verdict: Rank | str) -> str:
        if name in equal:
            return "not the only one that fits"
        return verdict if isinstance(verdict, str) else outdone

    return tuple(Refusal(n, reason(n, v)) for n, v in judged.items() if n != best)


def _choose_by_name(
    names: Iterable[str], wanted: str, versions: Sequence[str]
) -> ArtifactChoice:
    listed = list(names)
    forms = [wanted, *(wanted.replace(VERSION, version) for version in versions)]
    best = next((form for form in forms if form in listed), None)
    refused = (Refusal(name, f"not {wanted}") for name in listed if name != best)
    return ArtifactChoice(best, tuple(refused))


def _neutral(names: Iterable[str]) -> str | None:
    archives = [name for name in names if not _no_archive(name)]
    if len(archives) != 1:
        return None
    read = target(archives[0])
    return None if read.os or read.arch else archives[0]


def _judge(name: str, platform: Platform) -> Rank | str:
    """Rank how well *name* fits (less is better), or return why it does not."""
    if reason := _no_archive(name):
        return reason
    read = target(name)
    return _misfit(read, platform) or (
        secondary(name),
        _arch_rank(read, platform),
        _libc_rank(read, platform),
    )


def _no_archive(name: str) -> str:
    if is_companion(name):
        return "checksum, signature or inventory"
    return "" if is_archive(name) else "not an archive"


def _misfit(read: Target, platform: Platform) -> str:
    if not (read.os or read.arch):
        return "names no platform"
    if not read.os:
        return "names no operating system"
    if read.os != platform.os:
        return f"for {read.os}, not {platform.os}"
    if not read.arch:
        return "names no architecture"
    if read.arch not in (platform.arch, ANY):
        return f"for {read.arch}, not {platform.arch}"
    if read.arch == "arm" and read.level > platform.arm:
        return f"for armv{read.level}, not armv{platform.arm}"
    # The reverse is allowed: builds for musl are mostly static.
    if read.libc == GLIBC and platform.libc == MUSL:
        return f"for {read.libc}, not {platform.libc}"
    return ""


def _arch_rank(read: Target, platform: Platform) -> int:
    if read.arch == ANY:
        return 1
    if read.arch == "arm":
        return 2 * (platform.arm - read.level) if read.level else 1
    # Whether the processor has level v2 to v4 is unknown: a last resort.
    return read.level if read.level > 1 else 0


def _libc_rank(read: Target, platform: Platform) -> int:
    if read.libc == platform.libc:
        return 0
    return 2 if read.libc else 1


def _libc() -> str:
    """Return the C library of this Linux: only glibc answers `confstr`."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return MUSL
    return GLIBC if version else MUSL


_ARCHES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "armhf": "arm",
    "armel": "arm",
}


@dataclass(frozen=True, slots=True)
class ImagePlatform:
    """
    A platform as an image index names it.

    Attributes:
        os, arch: In Go's names.

        variant: `v7` of `arm`, `v8` of `arm64`; "" if none is stated.
    """

    os: str
    arch: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.arch, self.variant)))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """
        Parse the value of `--platform`: `linux/arm64/v8`, `linux`, `arm64`.

        Return None if it leaves the architecture to the engine.
        """
        os, *more = text.lower().split("/")
        if not more:
            os, more = ("linux", [os]) if os not in ("linux", "windows") else (os, [])
        if not more:
            return None
        arch = _ARCHES.get(more[0], more[0])
        return cls(os, arch, more[1] if len(more) > 1 else "")

    def runs(self, image: ImagePlatform) -> bool:
        """Return whether an engine for this platform chooses *image* from an index."""
        if image.os != self.os:
            return False
        if self.arch == "amd64":
            return image.arch in ("amd64", "386")
        if self.arch == "arm64":
            return image.arch in ("arm64", "arm")
        if self.arch == "arm" == image.arch:
            return _level(image.variant, 7) <= _level(self.variant, 7)
        return image.arch == self.arch


def _level(variant: str, unknown: int) -> int:
    match = re.fullmatch(r"v([0-9])", variant)
    return int(match[1]) if match else unknown


@dataclass(frozen=True, slots=True)
class Selection:
    """
    The preferences of this host, given to every registry beside its URL.

    Attributes:
        slot: The blue/green slot to follow, or "" for any.

        platform: The platform that artifacts have to run on.

        image_platform: The platform that images have to be for; None if the engine
            decides.

        reports: The directory for reports that the registry itself does not take; None
            to drop them.
    """

    slot: str = ""
    platform: Platform = field(default_factory=Platform.here)
    reports: Path | None = None
    image_platform: ImagePlatform | None = None
