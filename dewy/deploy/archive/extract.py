"""From an artifact to a directory."""

from __future__ import annotations

import errno
import logging
import lzma
import os
import re
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from threading import Event

from ...errors import ArchiveError, DeploymentError
from .formats import STREAMS, Format, format_of
from .limits import Budget, UnpackRules
from .tar import unpack_tar
from .tree import Tree, quoted
from .zip import unpack_zip

log = logging.getLogger(__name__)

# Errors of the standard library's readers about bytes that make no sense.
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
# The disk is not to blame when a name or a link cannot be made.
REFUSED = frozenset(
    {
        errno.EILSEQ,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMLINK,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
    }
)
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Bytes as Python writes them, with the brackets, the colon or the sign before them.
_BYTES = re.compile(
    r"""\s*(?:\(\s*|[:=]\s*)?\bb(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?:\s*\))?"""
)


def unpack(
    source: Path,
    name: str,
    into: Path,
    rules: UnpackRules | None = None,
    stop: Event | None = None,
) -> None:
    """
    Unpack the artifact *source* into the empty directory *into*.

    Its file name, *name*, decides the format; a file that is no archive is put
    there under that name as a program. Memory does not grow with the artifact.
    Blocks; on an error, what was unpacked so far is left for the caller to
    remove.

    Args:
        stop: Once set, the work ends soon with a DeploymentError.

    Raises:
        ArchiveError: the archive is broken, of a format dewy does not read,
            exceeds the limits, or holds something that must not be unpacked: an
            entry or a link that leads outside, a device, a pipe.
        DeploymentError: the file system refused, for one because it is full.
    """
    kind = format_of(name)
    try:
        _unpack(source, name, kind, into, rules or UnpackRules(), stop)
    except ArchiveError as exc:
        raise ArchiveError(f"{name}: {exc}") from exc
    except OSError as exc:
        raise _translated(name, source, into, exc) from exc
    except BROKEN as exc:
        raise _broken(name, exc) from exc


def _unpack(
    source: Path,
    name: str,
    kind: Format,
    into: Path,
    rules: UnpackRules,
    stop: Event | None,
) -> None:
    links, strip = rules.absolute_links, rules.strip
    with (
        open(source, "rb") as file,
        Tree(into, strip=strip, absolute_links=links) as tree,
    ):
        budget = Budget(rules.limits, os.fstat(file.fileno()).st_size, stop)
        if kind is Format.ZIP:
            if not unpack_zip(file, tree, budget) and not rules.program:
                log.info("Archive holds no permissions", extra={"artifact": name})
        elif kind is not Format.BARE:
            whole = kind is not Format.TAR
            unpack_tar(STREAMS[kind](file), tree, budget, whole=whole)
        else:
            budget.entry()
            with tree.file(name, 0o755) as program:
                budget.copy(file, program)
        if not budget.entries:
            raise ArchiveError("holds nothing")
        if strip and not any(into.iterdir()):
            raise ArchiveError(
                f"holds nothing below the directories that strip={strip} leaves out"
            )
        tree.finish()
        _require_program(into, rules.program)
        if rules.program and tree.make_executable(rules.program):
            extra = {"file": rules.program, "artifact": name}
            log.info("Made program executable", extra=extra)


def _require_program(into: Path, program: str) -> None:
    """Refuse a release whose only directory holds *program*, rather than itself."""
    if not program or os.path.lexists(into / program):
        return
    tops = list(into.iterdir())
    if len(tops) == 1 and os.path.lexists(tops[0] / program):
        raise ArchiveError(
            f"has {program} in its directory {tops[0].name}; strip=1 in the URL of "
            "--registry leaves that directory out"
        )


def plain(text: str) -> str:
    """
    Return the words of a reader in one line, without bytes as Python writes them.

    >>> plain("Not a gzipped file (b'ga')")
    'Not a gzipped file'
    """
    return " ".join(_BYTES.sub("", text).split())


def _translated(name: str, source: Path, into: Path, exc: OSError) -> DeploymentError:
    if exc.errno is None:  # bz2 and gzip raise it for broken data.
        return _broken(name, exc)
    if exc.errno in FULL:
        return DeploymentError(
            f"no space left in {into.parent} to unpack {name}", host=True
        )
    # The artifact's own place has another name each time.
    own = str(exc.filename) == str(source)
    file = source.name if own else str(exc.filename)
    where = quoted(file) if exc.filename else "a file"
    reason = f"{where}: {exc.strerror}"
    if exc.errno in REFUSED:
        return ArchiveError(f"{name} holds an entry that cannot be made: {reason}")
    return DeploymentError(f"cannot unpack {name}: {reason}", host=True)


def _broken(name: str, exc: Exception) -> ArchiveError:
    reason = plain(str(exc))[:200] or type(exc).__name__
    return ArchiveError(f"{name} is broken or cut short: {reason}")
