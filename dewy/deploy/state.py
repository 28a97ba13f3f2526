"""
What dewy remembers of a root: `.dewy/state.json`.

It decides what runs, not the link `current`. Every value is immutable; a change
is a new state, written whole before anybody acts on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from ..errors import DewyError
from ..files import write_atomically
from .quarantine import Quarantine

FORMAT = 1

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Installed:
    """
    A release that is unpacked on this host.

    Attributes:
        tag: Its version; "" where the original left it unnamed.

        identity: As in `Release`; "" where unknown.

        directory: Its name below `releases/`; "" where there is none, as of images.

        at: When it was deployed, seconds since the epoch.
    """

    tag: str
    identity: str
    directory: str
    at: float

    @property
    def name(self) -> str:
        """What people call it."""
        return self.tag or self.directory

    def is_version_of(self, other: Installed) -> bool:
        """Whether going from one to the other changes nothing."""
        if self.directory and self.directory == other.directory:
            return True
        same = (self.tag, self.identity) == (other.tag, other.identity)
        return same and bool(self.tag)


@dataclass(frozen=True, slots=True)
class Group:
    """
    The process group of one generation.

    A pid is only as good as the start time (clock ticks) and boot it goes with.
    """

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class State:
    """
    Attributes:
        running: What serves, or should.

        installed: Every release kept on disk, newest deployment first.

        quarantine: The versions that failed.

        because: Why *running* is what it is, a phrase; "" where that is not known.

        back_at: When *running* was gone back to, seconds since the epoch; 0 where
            it has run since it was deployed.

        hold: No change of version until `dewy unhold`.

        wanted: A version `dewy deploy` asked for while no dewy ran, or "".

        groups: Live generations, for the next dewy to end if this one is killed.

        notifies: Whether any generation of this root ever sent READY=1.

        pulled: Digests of the images that were pulled for this root, until they
            are removed again.
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

    @property
    def since(self) -> float:
        """Since when *running* is what it is, seconds since the epoch."""
        return self.back_at or (self.running.at if self.running else 0.0)

    @property
    def previous(self) -> Installed | None:
        """What to go back to: the newest kept release that is not in quarantine."""
        for candidate in self.installed:
            if candidate != self.running and not self.is_bad(candidate):
                return candidate
        return None

    def is_bad(self, candidate: Installed) -> bool:
        """Whether *candidate* is in quarantine, however long."""
        return self.quarantine.find(candidate.tag, candidate.identity) is not None

    def find(self, tag: str) -> Installed | None:
        """The kept release called *tag*."""
        return next((i for i in self.installed if i.name == tag), None)

    def deployed(self, release: Installed, keep: int, back_at: float = 0.0) -> Self:
        """
        This state after *release* took over; *back_at* is when, if it ran before.

        *keep* releases stay on disk, never fewer than two: what drains, and what
        a rollback goes to, needs its files.
        """
        others = [i for i in self.installed if not i.is_version_of(release)]
        kept = (release, *others)[: max(keep, 2)]
        return replace(self, running=release, installed=kept, back_at=back_at)

    def renamed(self, old: Installed, new: Installed) -> Self:
        """This state with *new* wherever *old* was."""
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
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']} is not {FORMAT}")
            running = data["running"]
            return cls(
                running=_record(Installed, running) if running else None,
                installed=_records(Installed, data["installed"]),
                quarantine=Quarantine.from_json(data["quarantine"]),
                hold=bool(data["hold"]),
                wanted=str(data["wanted"]),
                groups=_records(Group, data["groups"]),
                notifies=bool(data["notifies"]),
                pulled=tuple(map(str, data.get("pulled", ()))),
                because=str(data.get("because", "")),
                back_at=float(data.get("back_at", 0.0)),
            )
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"{type(exc).__name__}: {exc}") from exc

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode() + b"\n"


def _record(kind: type[R], data: dict[str, Any]) -> R:
    # Unknown keys are a newer dewy's; they are not ours to fail on.
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in data.items() if key in names})


def _records(kind: type[R], data: Iterable[dict[str, Any]]) -> tuple[R, ...]:
    return tuple(_record(kind, item) for item in data)


class StateFile:
    """The state on disk. Whoever writes it holds the root's lock."""

    def __init__(self, private: Path) -> None:
        self.path = private / "state.json"

    def read(self) -> State | None:
        """
        The state as last written; None if there is none.

        Raises:
            DewyError: it exists but cannot be read.
        """
        try:
            return State.from_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise DewyError(
                f"{self.path} cannot be read ({exc}); restore it, or move it away "
                "to start from the link 'current'"
            ) from exc

    def write(self, state: State) -> None:
        """
        Raises:
            OSError: it could not be written; the old state still stands.
        """
        write_atomically(self.path, state.to_json())
