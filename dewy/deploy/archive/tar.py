"""Unpacking tar archives as they stream by."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import Self

from ...errors import ArchiveError
from .limits import MIB, Budget
from .tree import Tree, quoted

# tarfile holds a member's extended headers in memory.
HEADER = MIB
# Some versions of tarfile search extended headers in time that grows with the
# square of a run of digits, and hold up the whole process meanwhile.
DIGITS = re.compile(rb"[0-9]{100}")

# GNU's: the name of the archive (`tar -V`), and a directory with a list of what it
# held (`tar -g`).
LABEL, DIRECTORY = b"V", b"D"
MAGIC, GNU = slice(257, 265), b"ustar  \0"

KINDS = {
    b"M": "the rest of a file that began in another volume",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


def unpack_tar(
    pieces: Iterator[bytes], tree: Tree, budget: Budget, *, whole: bool = False
) -> None:
    """
    Unpack the tar archive that *pieces* join up to.

    It has to end with its mark unless *pieces* are *whole* for certain, as what a
    compressor closed is.

    Raises:
        ArchiveError: the archive holds what must not be unpacked, or ends early.
        Exception: tarfile failed on what it does not understand.
    """
    source = _Forward(pieces)
    with tarfile.TarFile(
        fileobj=source,  # type: ignore[arg-type]
        encoding="utf-8",
        tarinfo=_Header,
    ) as tar:
        while True:
            source.expect_header()
            member = tar.next()
            if member is None:
                break
            source.expect_data()
            _keep_small(tar)
            budget.entry()
            _place(tar, member, tree, budget)
    source.finish(budget, whole=whole)


def _place(
    tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Tree, budget: Budget
) -> None:
    name = tree.stripped(member.name)
    if member.type == LABEL or name is None:
        # It is decompressed all the same.
        budget.data(max(member.size, 0), hole=True)
        return
    if member.isdir() or member.type == DIRECTORY:
        budget.data(max(member.size, 0), hole=True)
        tree.directory(name, member.mode)
    elif member.issym():
        tree.symlink(name, member.linkname)
    elif member.islnk():
        tree.hard_link(name, tree.stripped(member.linkname) or "")
    elif member.isreg():
        content = tar.extractfile(member)
        assert content is not None
        with content, tree.file(name, member.mode) as file:
            budget.copy(content, file, sparse=member.issparse())
    else:
        kind = KINDS.get(member.type, "of an unknown type")
        raise ArchiveError(f"entry {quoted(member.name)} is {kind}")


class _Header(tarfile.TarInfo):
    """A header as tarfile reads it, but for the place where GNU has times."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if buf[MAGIC] == GNU:
            # tarfile takes what `tar -g` writes there for the beginning of the name.
            name = bytes(buf[:100]).split(b"\0", 1)[0].decode(encoding, errors)
            header.name = name.rstrip("/") if header.isdir() else name
        return header


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


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

    def finish(self, budget: Budget, *, whole: bool) -> None:
        """
        Read to the end of the stream, so that its checksum is verified.

        What tools leave in the last record is passed over, another archive is not.

        Raises:
            ArchiveError: the archive ends without its end mark, unless it is *whole*
                for certain, or another archive follows it.
        """
        if whole and not self._block:
            return
        if len(self._block) < tarfile.BLOCKSIZE:
            raise ArchiveError("ends before its end mark; it is cut short")
        if any(self._block):
            raise ArchiveError(f"has a damaged header before byte {self._position}")
        self._pass_over(budget)

    def _pass_over(self, budget: Budget) -> None:
        remains = False
        while piece := self._read(MIB):
            budget.data(len(piece), hole=True)
            if remains or not (rest := piece.lstrip(b"\0")):
                continue
            remains = True
            at = len(piece) - len(rest)
            at -= at % tarfile.BLOCKSIZE
            if _is_header(piece[at : at + tarfile.BLOCKSIZE]):
                raise ArchiveError("goes on after its end mark with another archive")

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
