"""Unpacking tar archives as they stream by."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator

from ...errors import ArchiveError
from .limits import MIB, Budget
from .tree import Tree, quoted

# tarfile holds a member's extended headers in memory.
HEADER = MIB
# Some versions of tarfile search extended headers in time that grows with the
# square of a run of digits, and hold up the whole process meanwhile.
DIGITS = re.compile(rb"[0-9]{100}")

KINDS = {
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


def unpack_tar(pieces: Iterator[bytes], tree: Tree, budget: Budget) -> None:
    """
    Unpack the tar archive that *pieces* join up to.

    Raises:
        ArchiveError: the archive holds what must not be unpacked, or ends early.
        Exception: tarfile failed on what it does not understand.
    """
    source = _Forward(pieces)
    with tarfile.TarFile(fileobj=source, encoding="utf-8") as tar:  # type: ignore[arg-type]
        while True:
            source.expect_header()
            member = tar.next()
            if member is None:
                break
            source.expect_data()
            _keep_small(tar)
            budget.entry()
            _place(tar, member, tree, budget)
    source.finish()


def _place(
    tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Tree, budget: Budget
) -> None:
    if member.isdir():
        tree.directory(member.name, member.mode)
    elif member.issym():
        tree.symlink(member.name, member.linkname)
    elif member.islnk():
        tree.hard_link(member.name, member.linkname)
    elif member.isreg():
        content = tar.extractfile(member)
        assert content is not None
        with content, tree.file(member.name, member.mode) as file:
            budget.copy(content, file)
    else:
        kind = KINDS.get(member.type, "of an unknown type")
        raise ArchiveError(f"entry {quoted(member.name)} is {kind}")


def _keep_small(tar: tarfile.TarFile) -> None:
    # TarFile would remember every member, and every global header, to the end.
    tar.members.clear()  # type: ignore[attr-defined]
    if sum(len(key) + len(value) for key, value in tar.pax_headers.items()) > HEADER:
        raise ArchiveError(f"has more than {HEADER} bytes of global headers")


class _Forward:
    """
    The part of a file's interface that tarfile needs, over a stream read once.

    tarfile's own stream mode reads ahead, so headers and content could not be
    told apart; and it takes a damaged header for the end of the archive.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._position = 0
        self._header: int | None = 0
        self._block = b""

    def expect_header(self) -> None:
        """Treat what follows as part of a header, which may not be endless."""
        self._header = 0

    def expect_data(self) -> None:
        """Treat what follows as the content of a member."""
        self._header = None

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.StreamError("an entry begins before the end of the last")
        while self._position < position and self._take(position - self._position):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        if self._header is None:
            return self._read(size)
        self._header += size
        if self._header > HEADER:
            raise ArchiveError(f"has an entry with more than {HEADER} bytes of header")
        self._block = self._read(size)
        if DIGITS.search(self._block):
            raise ArchiveError("has an entry whose header makes no sense")
        return self._block

    def finish(self) -> None:
        """
        Read to the end of the stream, which must be zeros from here on.

        Raises:
            ArchiveError: the archive ends without its end mark, or goes on
                after it.
        """
        if len(self._block) < tarfile.BLOCKSIZE:
            raise ArchiveError("ends before its end mark; it is cut short")
        if any(self._block):
            raise ArchiveError(f"has a damaged header before byte {self._position}")
        while piece := self._take(MIB):
            if any(piece):
                raise ArchiveError("goes on after its end mark")

    def _read(self, size: int) -> bytes:
        chunks = []
        while size > 0 and (chunk := self._take(size)):
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _take(self, size: int) -> memoryview:
        while not self._rest and (piece := next(self._pieces, None)) is not None:
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:size], self._rest[size:]
        self._position += len(taken)
        return taken
