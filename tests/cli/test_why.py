"""`dewy why`."""

from __future__ import annotations

import json
from pathlib import Path

from dewy.deploy.history import History, Record
from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_versions_are_explained(dewy: Dewy, worked: StateFile, root: Path) -> None:
    """Without a dewy or a registry; what failed tells its last words."""
    tail = ("no database",)
    record = Record(2.0, "v3", "v2", "deploy", "failed", "start", "it ended", 1.0, tail)
    History(root / ".dewy").append(record)
    ended = dewy("why", "v3")
    lines = ended.out.splitlines()

    assert (0, "v3: quarantined") == (ended.status, lines[0])
    assert lines[1].startswith("- v3 is in quarantine until it is replaced")
    assert "- the registry says nothing of it: no --registry was given" in ended.out
    assert ["what it wrote last:", "    no database"] == lines[-2:]


def test_json_output_contains_full_explanation(dewy: Dewy, worked: StateFile) -> None:
    found = json.loads(dewy("why", "v2", "--json").out)

    wanted = ("v2", "current", [])
    assert wanted == (found["version"], found["verdict"], found["records"])
    assert found["why"][0].startswith("it has been the current version since 1970-")
    assert found["why"][0].endswith("UTC; no dewy runs here")


def test_times_are_local_with_their_offset(
    dewy: Dewy, worked: StateFile, tokyo: None
) -> None:
    """For people; JSON has UTC."""
    assert "since 1970-01-01 09:00:02 +09:00; no dewy" in dewy("why", "v2").out


def test_registry_is_asked(dewy: Dewy, worked: StateFile, root: Path) -> None:
    """With the slot that was said."""
    (root / "releases/v4.0.0+blue").mkdir(parents=True)
    (root / "releases/v4.0.0+blue/app.tgz").write_bytes(b"x")
    registry = f"file://{root}/releases"
    ended = dewy("why", "v4.0.0+blue", "--registry", registry, "--slot", "green")

    assert "v4.0.0+blue: passed over\n" in ended.out
    assert "but: slot blue, not green" in ended.out


def test_version_is_required(dewy: Dewy) -> None:
    ended = dewy("why")

    assert 2 == ended.status
    assert "VERSION" in ended.err


def test_unknown_version_exits_with_status_1(dewy: Dewy, worked: StateFile) -> None:
    """It is not so, though it was looked at."""
    assert 1 == dewy("why", "v9.9.9").status
    assert 0 == dewy("why", "v2").status
