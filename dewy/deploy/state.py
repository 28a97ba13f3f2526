"""
The state of a root, as dewy remembers it in `.dewy/state.json`.

It decides what runs, not the link `current`. Every value is immutable; a change is a
new state, written as a whole before anything relies on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..errors import DewyError
from ..files import FULL, Spare, write_with_spare
from ..system import utc
from .decode import boolean, document, listed, number, record, text, texts
from .quarantine import Quarantine

FORMAT = 1
GONE = "what ran before it is gone from this host"
BROKEN, STAMP = ".broken-", "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Installed:
    """
    A release that is unpacked on this host.

    Attributes:
        tag: The version; "" where the original left it unnamed.

        identity: The identity as in `Release`; "" where unknown.

        directory: The directory's name below `releases/`; "" where there is none, as of
            images.

        at: The time of deployment, seconds since the epoch.
    """

    tag: str
    identity: str
    directory: str
    at: float

    @property
    def name(self) -> str:
        """The name that people use."""
        return self.tag or self.directory

    def is_version_of(self, other: Installed) -> bool:
        """Return whether a switch from one to the other would change nothing."""
        if self.directory and self.directory == other.directory:
            return True
        same = (self.tag, self.identity) == (other.tag, other.identity)
        return same and bool(self.tag)


@dataclass(frozen=True, slots=True)
class Group:
    """
    The process group of one generation.

    A pid identifies a process only together with its start time (clock ticks) and boot.
    """

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class State:
    """
    Attributes:
        running: The release that serves, or should.

        installed: The releases kept on disk, newest deployment first.

        quarantine: The versions that failed.

        because: The reason for *running*, a phrase; "" where that is not known.

        back_at: The time of the rollback to *running*, seconds since the epoch; 0 where
            it has run since it was deployed.

        hold: True to change no version until `dewy unhold`.

        provisional: Whether the hold is dewy's own, until the newest version is known.

        wanted: A version `dewy deploy` asked for while no dewy ran, or "".

        groups: Live generations, for the next dewy to end if this one is killed.

        notifies: True if any generation of this root ever sent READY=1.

        pulled: Digests of the images that were pulled for this root, until they
            are removed again.

        gone: The release that should run, but whose files are missing, so that
            *running* replaces it until it can be fetched.

        more: Unknown keys that a newer dewy wrote, kept unchanged.
    """

    running: Installed | None = None
    installed: tuple[Installed, ...] = ()
    quarantine: Quarantine = field(default_factory=Quarantine)
    hold: bool = False
    wanted: str = ""
    groups: tuple[Group, ...] = ()
    notifies: bool = False
    pulled: tuple[str, ...] = ()
    because: str = ""
    back_at: float = 0.0
    gone: Installed | None = None
    provisional: bool = False
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def since(self) -> float:
        """
        Time since which *running* has been the running release, seconds since the
        epoch.
        """
        return self.back_at or (self.running.at if self.running else 0.0)

    @property
    def previous(self) -> Installed | None:
        """The rollback target: the newest kept release that is not in quarantine."""
        return next(self.candidates(), None)

    def candidates(self, missing: Collection[Installed] = ()) -> Iterator[Installed]:
        """
        Yield the releases to roll back to, best first, without those in quarantine.

        *missing* names those whose files are found to be gone.
        """
        for each in self.installed:
            if each != self.running and each not in missing and not self.is_bad(each):
                yield each

    def rollback_target(self, missing: Collection[Installed] = ()) -> Installed | None:
        """
        Return the release `dewy rollback` goes to: the best that is not in *missing*.

        A second rollback goes further back, never forward.
        """
        running = self.running
        for each in self.candidates(missing):
            # Beyond the rollback lies what a clock dated that once ran ahead.
            if not (running and running.at < each.at <= self.back_at):
                return each
        return None

    def is_bad(self, candidate: Installed) -> bool:
        """Return whether *candidate* is in quarantine, even if its time is over."""
        return self.quarantine.find(candidate.tag, candidate.identity) is not None

    @property
    def is_stopgap(self) -> bool:
        """Return whether *running* failed, and runs only as a stopgap."""
        if self.hold:
            return False
        running = self.running
        entry = running and self.quarantine.find(running.tag, running.identity)
        return bool(entry and entry.until is None and not entry.by)

    def find(self, tag: str) -> Installed | None:
        """Return the kept release called *tag*."""
        return next((i for i in self.installed if i.name == tag), None)

    def deployed(self, release: Installed, keep: int, back_at: float = 0.0) -> Self:
        """
        Return this state after *release* took over; *back_at* is when, if it ran
        before. If it already runs, versions that a rollback keeps out stay out.

        *keep* releases stay on disk, never fewer than two: one that drains and the
        target of a rollback need their files.
        """
        again = self.runs_by_right(release)
        back_at = back_at or (self.back_at if again else 0.0)
        others = [i for i in self.installed if not i.is_version_of(release)]
        kept = (release, *others)[: max(keep, 2)]
        return replace(
            self, running=release, installed=kept, back_at=back_at, gone=None
        )

    def runs_by_right(self, release: Installed) -> bool:
        """
        Return whether *release* is the running version, or the one that should run.
        """
        either = (self.running, self.gone)
        return any(each.is_version_of(release) for each in either if each)

    def is_due(self, tag: str) -> bool:
        """Return whether the version called *tag* runs, or should run."""
        either = (self.running, self.gone)
        return any(each.tag == tag for each in either if each)

    def present(self, kept: Collection[str]) -> Self:
        """
        Return this state if only the release directories *kept* exist.

        The best kept release replaces one that is missing; None if there is none.
        """
        there = tuple(i for i in self.installed if i.directory in kept)
        found, running = replace(self, installed=there), self.running
        if running is None or running in there:
            return found
        if found.previous is None:
            return replace(found, running=None, because="", back_at=0.0, gone=None)
        return found.stood_in(found.previous)

    def stood_in(self, other: Installed) -> Self:
        """
        Return this state with *other* in place of the running release, which is
        missing.
        """
        gone = self.gone or self.running
        gone = None if gone == other else gone
        return replace(self, running=other, because=GONE, gone=gone)

    def renamed(self, old: Installed, new: Installed) -> Self:
        """Return this state with *new* wherever *old* was."""
        return replace(
            self,
            running=new if self.running == old else self.running,
            installed=tuple(new if i == old else i for i in self.installed),
        )

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """
        Raises:
            ValueError: *text* is not a state this dewy can read.
        """
        data = document(text)
        if data.get("format") != FORMAT:
            raise ValueError(f"format {data.get('format')} is not {FORMAT}")
        if missing := {"running", "installed"} - data.keys():
            raise ValueError(f"{', '.join(sorted(missing))} is missing")
        known = {key: _field(key, data[key]) for key in _FIELDS if key in data}
        more = {key: data[key] for key in data.keys() - known.keys() - {"format"}}
        return cls(**known, more=more)

    def to_json(self) -> bytes:
        fields = asdict(self)
        more = fields.pop("more")
        told = {"format": FORMAT, **fields, **more}
        return json.dumps(told, indent=1).encode() + b"\n"


def _field(key: str, value: object) -> Any:
    try:
        return _FIELDS[key](value)
    except ValueError as exc:
        raise ValueError(f"{key}: {exc}") from None


def _installed(data: object) -> Installed:
    found = record(Installed, data)
    if "/" in found.directory or "\0" in found.directory:
        raise ValueError(f"directory: {found.directory!r} is not a name")
    return found


def _group(data: object) -> Group:
    found = record(Group, data)
    if found.pid <= 1:
        # To the kernel, these name others' processes, or all of them.
        raise ValueError(f"pid: {found.pid} is no process of a program")
    return found


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "running": lambda data: None if data is None else _installed(data),
    "installed": lambda data: tuple(map(_installed, listed(data))),
    "quarantine": Quarantine.from_json,
    "hold": boolean,
    "wanted": text,
    "groups": lambda data: tuple(map(_group, listed(data))),
    "notifies": boolean,
    "pulled": texts,
    "because": text,
    "back_at": number,
    "gone": lambda data: None if data is None else _installed(data),
    "provisional": boolean,
}


class BrokenState(DewyError):
    """The state's file is truncated or damaged."""


class StateNotWritten(OSError):
    """
    The state's file could not be written.

    Attributes:
        trouble: The file, and why it could not be written: `/srv/app/.dewy/state.json
            (Disk full)`.

        advice: The remedy, a phrase.
    """

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror)
        self.trouble = f"{path} ({cause.strerror or cause})"
        self.advice = "free space" if cause.errno in FULL else "make it writable"

    def __str__(self) -> str:
        return f"could not write {self.trouble}: {self.advice}"


class StateFile:
    """The state on disk; its writer holds the root's lock."""

    def __init__(self, private: Path) -> None:
        self.path = private / "state.json"
        self._spare = Spare(private / "spare-state")
        self._written: tuple[int, ...] | None = None

    def read(self) -> State | None:
        """
        Return the state as last written; None if there is none.

        Raises:
            BrokenState: the file holds no state.
            DewyError: the file exists but cannot be read.
        """
        try:
            self._written = self._look()
            return State.from_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as exc:
            raise BrokenState(f"{self.path} is broken: {exc}") from exc
        except OSError as exc:
            raise DewyError(
                f"{self.path} cannot be read: {exc.strerror or exc}; restore it, or "
                "move it away to start from the link 'current'"
            ) from exc

    def set_aside(self, now: float) -> Path:
        """
        Rename the broken file, with the time *now*, and return its new path, for repair
        by hand.

        Raises:
            OSError: the file could not be renamed.
        """
        place = self.path.with_name(f"{self.path.name}{BROKEN}{utc(now):{STAMP}}")
        self.path.rename(place)
        return place

    def broken(self) -> list[Path]:
        """Return the files that were set aside and are still there, oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}{BROKEN}*"))

    def write(self, state: State) -> None:
        """
        Raises:
            StateNotWritten: the file could not be written; the old state still stands.
        """
        try:
            write_with_spare(self.path, state.to_json(), self._spare)
        except OSError as exc:
            raise StateNotWritten(self.path, exc) from exc
        self._written = self._look()

    def keep_spare(self) -> None:
        """Create the spare file for a full disk, if there is room."""
        self._spare.keep()

    def is_as_written(self) -> bool:
        """
        Return whether the file is still there, and unreplaced, since it was last
        written.
        """
        return self._written is None or self._written == self._look()

    def _look(self) -> tuple[int, ...]:
        try:
            found = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
