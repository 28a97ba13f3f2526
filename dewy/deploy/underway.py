"""The change of version under way, in `.dewy/underway.json`: gone once it has ended."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .decode import document, record

__all__ = ["Underway", "UnderwayFile"]


@dataclass(frozen=True, slots=True)
class Underway:
    """
    Attributes:
        id, tag, previous, action: As in `Record`.

        at: The beginning, seconds since the epoch.
    """

    id: str
    tag: str
    previous: str
    action: str
    at: float


class UnderwayFile:
    """File that a dewy which is killed leaves behind, so that the next one tells."""

    def __init__(self, private: Path) -> None:
        self._path = private / "underway.json"

    def write(self, underway: Underway) -> None:
        """Write it down, if the disk takes it: no deployment fails for that."""
        with suppress(OSError):
            self._path.write_text(json.dumps(asdict(underway)))

    def clear(self) -> None:
        """Remove the file; idempotent."""
        with suppress(OSError):
            self._path.unlink()

    def read(self) -> Underway | None:
        """Return what was under way; None if nothing was, or it cannot be read."""
        try:
            return record(Underway, document(self._path.read_bytes()))
        except (OSError, ValueError):
            return None
