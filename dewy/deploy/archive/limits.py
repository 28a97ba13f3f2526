"""Rules of unpacking, and limits on an archive's content, counted meanwhile."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from ...errors import ArchiveError, DeploymentError

MIB = 1024 * 1024
PIECE = 256 * 1024
ZEROS = bytes(PIECE)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """
    The limits of unpacking.

    Attributes:
        entries: Files, directories and links in one archive.

        total: Bytes all files together unpack to.

        ratio: Unpacked bytes for each byte of the archive, holes left out; 0 for any
            number.

        ratio_from: Unpacked bytes below which the ratio does not matter.
    """

    entries: int = 200_000
    total: int = 8192 * MIB
    ratio: int = 200
    ratio_from: int = 64 * MIB


class ByteSource(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """A sink of bytes."""

    def write(self, data: bytes, /) -> int: ...
    def seek(self, offset: int, whence: int, /) -> int: ...
    def truncate(self) -> int: ...


class Budget:
    """
    The part of its limits that an archive has used.

    It counts what really comes out; sizes that headers claim are not believed. Long
    runs of zeros, as in a database's file, count as holes, which are no part of the
    ratio.

    Args:
        packed: Size of the archive in bytes.

        stop: Once set, the next step ends the work.
    """

    def __init__(
        self, limits: ArchiveLimits, packed: int, stop: Event | None = None
    ) -> None:
        self.limits = limits
        self.entries = 0
        self.total = 0
        self._holes = 0
        self._packed = packed
        self._stop = stop or Event()

    def entry(self) -> None:
        """
        Count an entry.

        Raises:
            ArchiveError: the archive holds more entries than allowed.
            DeploymentError: the work was asked to stop.
        """
        self._go_on()
        self.entries += 1
        if self.entries > self.limits.entries:
            raise ArchiveError(
                f"holds more than {self.limits.entries} entries; "
                "--archive-max-entries sets the limit"
            )

    def data(self, size: int, *, hole: bool = False) -> None:
        """Count *size* unpacked bytes; raises as `entry` does."""
        self._go_on()
        self.total += size
        self._holes += size if hole else 0
        if self.total > self.limits.total:
            raise ArchiveError(
                f"unpacks to more than {self.limits.total} bytes; "
                "--archive-max-bytes sets the limit"
            )
        if self._is_too_dense():
            raise ArchiveError(
                f"unpacks to more than {self.limits.ratio} times its own size; "
                "--archive-max-ratio sets the limit"
            )

    def copy(self, source: ByteSource, sink: Sink, *, sparse: bool = False) -> None:
        """
        Copy all of *source* to *sink*, counting; raises as `entry` does.

        In a *sparse* file holes stay holes.
        """
        while piece := source.read(PIECE):
            hole = ZEROS.startswith(piece)
            self.data(len(piece), hole=hole)
            if hole and sparse:
                sink.seek(len(piece), os.SEEK_CUR)
            else:
                sink.write(piece)
        if sparse:
            sink.truncate()

    def _is_too_dense(self) -> bool:
        written, ratio = self.total - self._holes, self.limits.ratio
        allowed = max(self.limits.ratio_from, ratio * self._packed)
        return ratio > 0 and written > allowed

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise DeploymentError("unpacking was interrupted", host=True)


@dataclass(frozen=True, slots=True)
class UnpackRules:
    """
    The rules for unpacking.

    Attributes:
        strip: The number of directories left out at the beginning of each name, as by
            `tar --strip-components`.

        absolute_links: Links may have absolute targets.

        program: The path of the program in the release, or "". It can be executed
            afterwards, even where the archive holds no permissions.
    """

    limits: ArchiveLimits = field(default_factory=ArchiveLimits)
    strip: int = 0
    absolute_links: bool = False
    program: str = ""
