"""Options about unpacking."""

from __future__ import annotations

from .option import FILES, Option
from .values import ValueKind, choice, last, number, size

__all__ = ["ARCHIVING"]

SIZE = ValueKind("SIZE", last(size), (int, str))
RATIO = ValueKind("NUMBER", last(number(0, 1_000_000)), (int,))
ENTRIES = ValueKind("NUMBER", last(number(1, 100_000_000)), (int,))
LINKS = ValueKind("WHICH", last(choice("auto", "allow", "refuse")))

ARCHIVING = (
    Option(
        "archive-max-bytes",
        SIZE,
        "Most bytes an archive may unpack to.",
        FILES,
        default="8GiB",
    ),
    Option(
        "archive-max-ratio",
        RATIO,
        "Most times its own size an archive above 64 MiB may unpack to, zeros left "
        "out; 0 for any.",
        FILES,
        default="200",
    ),
    Option(
        "archive-max-entries",
        ENTRIES,
        "Most files, directories and links in an archive.",
        FILES,
        default="200000",
    ),
    Option(
        "absolute-links",
        LINKS,
        "Links to absolute paths in an archive: allow, refuse, or auto (allowed by "
        "server, refused by assets).",
        FILES,
        default="auto",
    ),
)
