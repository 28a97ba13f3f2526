"""Running the command line in this process, in a root of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dewy.cli import run
from dewy.config import Settings
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State, StateFile
from dewy.system import Clock


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one command."""

    status: int
    out: str
    err: str


Dewy = Callable[..., Ended]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of every test here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone of this host: nine hours ahead of UTC, whatever the date."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def dewy(capsys: pytest.CaptureFixture[str]) -> Dewy:
    """Runs one command to its end."""

    def dewy(*arguments: str) -> Ended:
        status = run(arguments)
        out, err = capsys.readouterr()
        return Ended(status, out, err)

    return dewy


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the daemon was started with, instead of starting it."""
    settings: list[Settings] = []

    async def run(given: Settings, *_: object) -> int:
        settings.append(given)
        return 0

    monkeypatch.setattr("dewy.daemon.run", run)
    return settings


@pytest.fixture
def worked(root: Path) -> StateFile:
    """The state that a dewy left in *root*: v2 runs, v1 is kept, v3 failed."""
    v1 = Installed("v1", "one", "20310203T040506Z", 1.0)
    v2 = Installed("v2", "two", "20310203T040507Z", 2.0)
    quarantine = Quarantine().add("v3", "three", "died", Clock(), traffic=True)
    private = root / ".dewy"
    private.mkdir(mode=0o700)
    file = StateFile(private)
    file.write(State(running=v2, installed=(v2, v1), quarantine=quarantine))
    for installed in (v2, v1):
        (root / "releases" / installed.directory).mkdir(parents=True)
    return file


@dataclass
class Asked:
    """What the dewy that runs in the root was asked, and what it answers."""

    verbs: list[tuple[str, dict[str, object]]]
    message: str = "done"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A running dewy that does whatever it is asked."""
    known = Asked([])

    async def ask(
        private: Path,
        verb: str,
        patience: float = 0,
        progress: object = None,
        **args: object,
    ) -> dict[str, object]:
        known.verbs.append((verb, args))
        return {"ok": True, "message": known.message}

    monkeypatch.setattr("dewy.admin.client.ask", ask)
    monkeypatch.setattr("dewy.admin.operate.ask", ask)
    return known
