"""The last deployments of a root, cached for repeated requests."""

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
    The recent history of a root, read again only when the file has grown.

    Args:
        private: The root's `.dewy`.

        most: The greatest number of deployments returned; older ones are left out.
    """

    def __init__(self, private: Path, most: int = MOST) -> None:
        self._history = History(private)
        self._most = most
        self._signature: Signature | None = None
        self._records: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """
        Return what `dewy history --json` prints, newest first. Blocks.

        Without the output of programs: every user of the host may use the HTTP API, but
        not read their logs.

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
