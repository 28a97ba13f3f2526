"""Recognition of an artifact's format by its file name."""

from __future__ import annotations

from enum import Enum

from ...errors import ArchiveError


class Format(Enum):
    """The format of an artifact; a bare one is the program itself."""

    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"
    TAR_ZST = "tar.zst"
    ZIP = "zip"
    BARE = "bare"


ENDINGS = {
    ".tar": Format.TAR,
    ".tar.gz": Format.TAR_GZ,
    ".tgz": Format.TAR_GZ,
    ".tar.bz2": Format.TAR_BZ2,
    ".tbz2": Format.TAR_BZ2,
    ".tar.xz": Format.TAR_XZ,
    ".txz": Format.TAR_XZ,
    ".tar.zst": Format.TAR_ZST,
    ".tzst": Format.TAR_ZST,
    ".zip": Format.ZIP,
}

# Without these, a packed file would be put in place as if it were a program.
UNSUPPORTED = (
    *(".7z", ".ar", ".br", ".bz2", ".cab", ".cpio", ".gz", ".lz", ".lz4", ".lzma"),
    *(".lzo", ".rar", ".sz", ".tbz", ".tlz", ".xz", ".z", ".zst"),
)


def format_of(name: str) -> Format:
    """
    Return the format of the artifact called *name*, whatever its case.

    Raises:
        ArchiveError: *name* is of a format that dewy does not read.
    """
    lower = name.lower()
    for ending, chosen in ENDINGS.items():
        if lower.endswith(ending):
            return chosen
    if lower.endswith(UNSUPPORTED):
        raise ArchiveError(
            f"{name} is packed in a format dewy does not read; use one of "
            + ", ".join(ENDINGS)
        )
    return Format.BARE
