"""The last deployments of a root, for whoever asks again and again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..deploy.history import History, Record

__all__ = ["RecentHistory"]

MOST = 30

Signature = tuple[int, int, int]


class RecentHistory:
    """
    The recent history of a root, read again only when there is more of it.

    Args:
        private: The root's `.dewy`.

        most: The greatest number of deployments told; the oldest are left out.
    """

    def __init__(self, private: Path, most: int = MOST) -> None:
        self._history = History(private)
        self._most = most
        self._signature: Signature | None = None
        self._records: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """
        Return what `dewy history --json` prints, newest first. Blocks.

        Without what programs wrote: every user of the host may ask the HTTP API,
        but not read their logs.

        Raises:
            OSError: the history could not be read.
        """
        found = self._look()
        if found != self._signature:
            records = self._history.read()[: -self._most - 1 : -1]
            self._records = [_told(record) for record in records]
            self._signature = found
        return self._records

    def _look(self) -> Signature | None:
        try:
            found = self._history.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _told(record: Record) -> dict[str, Any]:
    told = asdict(record)
    words = told.pop("log_tail"), told.pop("detail")
    return {**told, "wrote": any(words)}
