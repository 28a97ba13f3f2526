"""The platform of a host, and the artifact that runs on it."""

from __future__ import annotations

import os
import platform as host
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, TypeAlias

from ..release import Refusal
from .filenames import ANY, GLIBC, MUSL, Target, is_archive, is_companion, target

#: Architecture before C library; less is better.
Rank: TypeAlias = tuple[int, int]

_NARROW = {"amd64": "386", "arm64": "arm"}
_NEWEST_ARM = 7


@dataclass(frozen=True, slots=True)
class Platform:
    """
    What a host runs, in Go's names.

    Attributes:
        os: `linux`, `darwin`.

        arch: `amd64`, `arm64`, `arm`, `386`, ….

        libc: `glibc` or `musl`; "" where it makes no difference, or is unknown.

        arm: The newest 32-bit ARM architecture the processor runs, 5 to 7;
            counts where *arch* is `arm`.
    """

    os: str
    arch: str
    libc: str = ""
    arm: int = _NEWEST_ARM

    @classmethod
    def here(cls) -> Self:
        """The platform of this process: 32-bit where the interpreter is."""
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
    """The artifact for a host, or None, and every other name with its reason."""

    name: str | None
    refused: tuple[Refusal, ...]


def choose_artifact(
    names: Iterable[str], platform: Platform, wanted: str = ""
) -> ArtifactChoice:
    """
    Choose the artifact for *platform* by what the file names say.

    Only archives are candidates, and among those that fit equally well the
    first listed wins. A name has to tell both operating system and
    architecture. As a last resort an archive that tells neither is taken to be
    the same for every platform (a static site), provided it is the only one.

    Args:
        names: What was published, in the registry's order.

        platform: Where it has to run.

        wanted: The very name to take instead, whatever it looks like.
    """
    if wanted:
        return _choose_by_name(names, wanted)
    judged = {name: _judge(name, platform) for name in names}
    ranks = {name: rank for name, rank in judged.items() if isinstance(rank, tuple)}
    best = min(ranks, key=ranks.__getitem__, default=None) or _neutral(judged)
    refused = (
        Refusal(name, verdict if isinstance(verdict, str) else f"{best} comes first")
        for name, verdict in judged.items()
        if name != best
    )
    return ArtifactChoice(best, tuple(refused))


def _choose_by_name(names: Iterable[str], wanted: str) -> ArtifactChoice:
    listed = list(names)
    refused = (Refusal(name, f"not {wanted}") for name in listed if name != wanted)
    return ArtifactChoice(wanted if wanted in listed else None, tuple(refused))


def _neutral(names: Iterable[str]) -> str | None:
    archives = [name for name in names if not _no_archive(name)]
    if len(archives) != 1:
        return None
    read = target(archives[0])
    return None if read.os or read.arch else archives[0]


def _judge(name: str, platform: Platform) -> Rank | str:
    """How well it fits (less is better), or why it does not."""
    if reason := _no_archive(name):
        return reason
    read = target(name)
    return _misfit(read, platform) or (
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
    # The other way round is well: what is built for musl is mostly static.
    if read.libc == GLIBC and platform.libc == MUSL:
        return f"for {read.libc}, not {platform.libc}"
    return ""


def _arch_rank(read: Target, platform: Platform) -> int:
    if read.arch == ANY:
        return 1
    if read.arch == "arm":
        return 2 * (platform.arm - read.level) if read.level else 1
    # Which of amd64v2 to v4 the processor runs is unknown: only if need be.
    return read.level if read.level > 1 else 0


def _libc_rank(read: Target, platform: Platform) -> int:
    if read.libc == platform.libc:
        return 0
    return 2 if read.libc else 1


def _libc() -> str:
    """The C library of this Linux: only GNU's has a version to tell."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return MUSL
    return GLIBC if version else MUSL
