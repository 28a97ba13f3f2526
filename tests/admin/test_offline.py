"""A root where no dewy runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dewy.admin import offline
from dewy.config import Settings
from dewy.deploy.history import History
from dewy.deploy.lock import lock
from dewy.deploy.state import State, StateFile
from dewy.errors import DewyError, RootBusy
from dewy.logs import summary
from dewy.system import Clock
from tests.admin.conftest import V1


def written(settings: Settings) -> State:
    state = StateFile(settings.private).read()
    assert state is not None
    return state


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_looking_reads_the_state(worked: Settings, clock: Clock) -> None:
    """And tells that nothing keeps it up."""
    found = offline.look(worked, clock)

    assert ("app", "v2", "v1") == (
        found["name"],
        found["running"]["tag"],
        found["previous"]["tag"],
    )
    assert str(worked.root) == found["root"]
    assert ["no dewy runs in this root"] == found["degraded"]


def test_looking_creates_nothing(
    settings: Settings, worked: Settings, clock: Clock
) -> None:
    """The original made its directories for whatever was asked."""
    before = files(worked.root)
    offline.look(worked, clock)
    fresh = replace(settings, root=settings.root / "fresh")
    fresh.root.mkdir()

    assert offline.look(fresh, clock)["running"] is None
    assert "fresh" == offline.look(replace(fresh, registry=""), clock)["name"]
    assert before | {"fresh"} == files(worked.root)


def left_by_the_original(settings: Settings) -> None:
    release = settings.root / "releases" / "20310203T040506Z"
    release.mkdir(parents=True)
    (settings.root / "current").symlink_to(release)


def test_root_of_the_original_is_understood(settings: Settings, clock: Clock) -> None:
    """Its link says what runs; a change of it becomes a state that says so too."""
    left_by_the_original(settings)
    assert "20310203T040506Z" == offline.look(settings, clock)["running"]["directory"]

    offline.apply(settings, "hold", None, clock)
    found = written(settings)
    assert found.hold
    assert found.running is not None
    assert "20310203T040506Z" == found.running.directory


def test_verbs_change_the_state(worked: Settings, clock: Clock) -> None:
    """They work while dewy is down, and are found when it starts."""
    assert "held at v2" in offline.apply(worked, "hold", None, clock)
    assert written(worked).hold
    offline.apply(worked, "unhold", None, clock)
    assert not written(worked).hold
    offline.apply(worked, "retry", "v3", clock)
    assert [] == list(written(worked).quarantine)
    offline.apply(worked, "deploy", "v9", clock)
    assert "v9" == written(worked).wanted
    offline.apply(worked, "rollback", None, clock)
    running = written(worked).running
    assert running is not None
    assert "v1" == running.tag


def test_rollback_says_that_nothing_runs_and_is_in_the_history(
    worked: Settings, clock: Clock
) -> None:
    """It said `rolled back` where nothing ran, and no row told of it."""
    message = offline.apply(worked, "rollback", None, clock)

    assert message.endswith("; no dewy runs here: v1 runs from the next start on")
    record = History(worked.private).read()[-1]
    assert ("v1", "v2", "rollback", "deployed") == (
        record.tag,
        record.previous,
        record.action,
        record.outcome,
    )
    assert "rolled back by operator while no dewy ran" == record.reason


@pytest.mark.parametrize(
    ("version", "why"),
    [(None, "gone from disk: v1$"), ("v1", "the files of v1 are gone from this host")],
)
def test_rollback_to_a_release_whose_files_are_gone_is_refused(
    version: str | None, why: str, worked: Settings, clock: Clock
) -> None:
    before = written(worked)
    (worked.root / "releases" / V1.directory).rmdir()
    with pytest.raises(DewyError, match=why):
        offline.apply(worked, "rollback", version, clock)

    assert before == written(worked)


def test_rollback_passes_over_a_release_whose_files_are_gone(
    worked: Settings, clock: Clock
) -> None:
    older = replace(V1, tag="v0", directory="20310203T040505Z")
    state = written(worked)
    installed = (*state.installed, older)
    StateFile(worked.private).write(replace(state, installed=installed))
    (worked.root / "releases" / V1.directory).rename(
        worked.root / "releases" / older.directory
    )

    assert "rolled back to v0" in offline.apply(worked, "rollback", None, clock)
    assert older == written(worked).running


def test_rollback_of_an_image_does_not_look_for_files(
    worked: Settings, clock: Clock
) -> None:
    state = written(worked)
    images = tuple(replace(each, directory="") for each in state.installed)
    StateFile(worked.private).write(State(images[0], images))

    assert "rolled back to v1" in offline.apply(worked, "rollback", None, clock)


def test_refused_verb_changes_nothing(worked: Settings, clock: Clock) -> None:
    """The reason is the error."""
    before = written(worked)
    with pytest.raises(DewyError, match="v9 is not on this host"):
        offline.apply(worked, "rollback", "v9", clock)

    assert before == written(worked)


def test_verb_without_effect_writes_nothing(worked: Settings, clock: Clock) -> None:
    """`unhold` of what is not held."""
    before = (worked.private / "state.json").stat().st_mtime_ns
    assert "was not held" == offline.apply(worked, "unhold", None, clock)

    assert before == (worked.private / "state.json").stat().st_mtime_ns


def test_verbs_keep_off_a_root_that_is_in_use(worked: Settings, clock: Clock) -> None:
    """A dewy that is starting has the lock before it answers."""
    with lock(worked.private), pytest.raises(RootBusy):
        offline.apply(worked, "hold", None, clock)

    assert not written(worked).hold


@pytest.mark.parametrize("verb", ["hold", "unhold", "retry", "rollback", "deploy"])
def test_wrong_directory_is_told(settings: Settings, clock: Clock, verb: str) -> None:
    """A slip of `cd` leaves nothing behind."""
    with pytest.raises(DewyError, match="is it the right directory"):
        offline.apply(settings, verb, "v1", clock)

    assert set() == files(settings.root)


def test_refused_write_names_path_and_advice(worked: Settings, clock: Clock) -> None:
    path = worked.private / "state.json"
    path.with_name(".state.json.tmp").mkdir()

    with pytest.raises(OSError, match="make it writable") as refused:
        offline.apply(worked, "hold", None, clock)

    assert f"could not write {path} (Is a directory)" in summary(refused.value)


def test_history_that_cannot_be_read_hides_no_status(tmp_path: Path) -> None:
    private = tmp_path / ".dewy"
    (private / "history.jsonl").mkdir(parents=True)
    settings = Settings(command="status", root=tmp_path, cache_dir=tmp_path)

    assert ["no dewy runs in this root", "nothing is deployed"] == offline.look(
        settings, Clock()
    )["degraded"]
