"""
History: all deployments of a root, in `.dewy/history.jsonl`, and what is under way.

The history has one JSON line for each deployment that ended; `.dewy/underway.json` is
gone once its deployment has.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from .decode import document, record

ADOPTED = "adopted"
"""The outcome where another program had deployed what runs from then on."""

HOOK_FAILED = "hook failed"
"""The outcome of a row about the after-hook of a deployment, which stands."""

INTERRUPTED = "interrupted"
"""The outcome of a change that was under way when dewy was killed."""

LARGEST = 1 << 20
ROTATED = 4


@dataclass(frozen=True, slots=True)
class Record:
    """
    A deployment, or an event in the place of one.

    Attributes:
        at: The end, seconds since the epoch.

        tag, previous: The version it was about, and the one that ran before it, or "".

        action: `deploy`, `rollback`, `restart` of what died, or `reload` of options.

        outcome: `deployed`, `adopted`, `failed`, `rolled back`, `died`, `cancelled`,
            `reloaded`, `interrupted`, or `hook failed` after a deployment, which
            stands.

        step: The step at which it ended: `fetch`, `before-hook`, `unpack`, `start`,
            `probation`, `done`, `after-hook` …

        reason: The reason, in one line.

        seconds: The duration.

        log_tail: The last lines of a program or hook that failed.

        id: The deployment, as in the log; "" in what an older dewy wrote.

        detail: A program's own last words, those of a hook with its command, for those
            who may read them; or "".
    """

    at: float
    tag: str
    previous: str
    action: str
    outcome: str
    step: str
    reason: str
    seconds: float
    log_tail: tuple[str, ...] = ()
    id: str = ""
    detail: str = ""

    @property
    def story(self) -> str:
        """The reason and the detail in one line: never for HTTP."""
        return ": ".join(filter(None, (self.reason, self.detail)))


class History:
    """The records of one root."""

    def __init__(self, private: Path) -> None:
        self.path = private / "history.jsonl"

    def append(self, record: Record) -> None:
        """
        Raises:
            OSError: the record could not be written.
        """
        text = json.dumps(asdict(record), ensure_ascii=False)
        # Bytes that are no text, as in some file names, become JSON escapes.
        line = text.encode(errors="backslashreplace") + b"\n"
        self._rotate(len(line))
        descriptor = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            if not _ends_line(self.path):
                line = b"\n" + line
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self) -> list[Record]:
        """Return the records still kept, oldest first; torn lines are left out."""
        records = []
        for path in reversed([self.path, *self._older()]):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            records += [r for line in lines if (r := _parse(line))]
        return records

    def _older(self) -> list[Path]:
        return [
            self.path.with_name(f"{self.path.name}.{n}") for n in range(1, ROTATED + 1)
        ]

    def _rotate(self, coming: int) -> None:
        try:
            if self.path.stat().st_size + coming <= LARGEST:
                return
        except FileNotFoundError:
            return
        names = [self.path, *self._older()]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.rename(older)


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _parse(line: bytes) -> Record | None:
    try:
        data = document(line)
        found = record(Record, data)
    except ValueError:
        return None
    if "detail" in data or found.outcome != "failed":
        return found
    # An older dewy had a program's words in the reason.
    return replace(found, reason="", detail=found.reason)


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
