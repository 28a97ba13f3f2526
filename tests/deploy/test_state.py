"""What dewy remembers of a root."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.admin.status import status
from dewy.cli.status import screen
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import (
    BrokenState,
    Group,
    Installed,
    State,
    StateFile,
    StateNotWritten,
)
from dewy.deploy.why import Looked, explain
from dewy.errors import DewyError
from dewy.system import Clock
from tests.standins.small_disks import fill, make_room, mounted

V1 = Installed("v1", "sha256:1", "20310203T040506Z", 1.0)
V2 = Installed("v2", "sha256:2", "20310203T040507Z", 2.0)
V3 = Installed("v3", "sha256:3", "20310203T040508Z", 3.0)
FULL = State(
    running=V2,
    installed=(V2, V1),
    quarantine=Quarantine().add("v3", "sha256:3", "died", Clock(), traffic=True),
    hold=True,
    wanted="v2",
    groups=(Group(123, 456, "boot"),),
    notifies=True,
    back_at=7.0,
)


def quarantined(state: State, release: Installed) -> State:
    bad = state.quarantine.add(
        release.tag, release.identity, "no", Clock(), traffic=False
    )
    return replace(state, quarantine=bad)


def test_state_survives_being_written() -> None:
    """Every part of it."""
    assert FULL == State.from_json(FULL.to_json())
    assert State() == State.from_json(State().to_json())


def test_running_since_is_deployment_or_rollback_time() -> None:
    assert (0.0, 7.0) == (State().since, FULL.since)
    assert 3.0 == FULL.deployed(V3, 7).since
    assert 9.0 == FULL.deployed(V1, 7, 9.0).since


def test_unknown_keys_of_newer_dewy_are_preserved() -> None:
    """Going back to an older dewy of the same format is possible."""
    data = json.loads(FULL.to_json())
    data["moon"] = data["running"]["moon"] = data["groups"][0]["moon"] = "full"

    found = State.from_json(json.dumps(data).encode())

    assert replace(FULL, more={"moon": "full"}) == found
    assert "full" == json.loads(found.to_json())["moon"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        State().to_json().replace(b'"format": 1', b'"format": 2'),
        State().to_json().replace(b'"installed": []', b'"installed": [{}]'),
        State().to_json().replace(b'"installed": []', b'"installed": 1'),
    ],
)
def test_malformed_state_is_refused(text: bytes) -> None:
    """Guessing would run the wrong version."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kinds
        State.from_json(text)


def test_previous_is_the_newest_kept_that_is_not_bad() -> None:
    """What failed is nothing to go back to, not even when its time is up."""
    state = State(running=V3, installed=(V3, V2, V1))

    assert V2 == state.previous
    assert V1 == quarantined(state, V2).previous
    assert quarantined(quarantined(state, V2), V1).previous is None
    assert State().previous is None


def test_deployed_release_runs_and_leads_the_kept_ones() -> None:
    """No more than asked for are kept, and each directory once."""
    state = State().deployed(V1, keep=2).deployed(V2, keep=2).deployed(V3, keep=2)

    assert V3 == state.running
    assert (V3, V2) == state.installed
    assert (V2, V3) == state.deployed(V2, keep=2).installed


def test_release_without_a_tag_is_called_by_its_directory() -> None:
    """What the original left may have no name of its own."""
    unnamed = Installed("", "", "20310203T040506Z", 0.0)
    state = State(installed=(V1, unnamed))

    assert unnamed == state.find("20310203T040506Z")
    assert V1 == state.find("v1")
    assert state.find("v9") is None


def test_state_file_is_read_back(tmp_path: Path) -> None:
    """And is private."""
    file = StateFile(tmp_path)
    file.write(FULL)

    assert FULL == file.read()
    assert 0o600 == file.path.stat().st_mode & 0o777


def test_no_file_is_no_state(tmp_path: Path) -> None:
    """Not an empty one: a root the original left has none, but runs something."""
    assert StateFile(tmp_path).read() is None
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"rubbish", b'{"format": 99}', b"[" * 9999])
def test_broken_file_is_set_aside_whole(tmp_path: Path, content: bytes) -> None:
    """A person may mend it; what runs must not wait for that."""
    file = StateFile(tmp_path)
    file.path.write_bytes(content)
    with pytest.raises(BrokenState, match=r"state\.json is broken"):
        file.read()
    kept = file.set_aside(1_927_857_906.0)

    assert "state.json.broken-20310203T040506Z" == kept.name
    assert content == kept.read_bytes()
    assert [kept] == file.broken()
    assert None is file.read()


def test_unreadable_state_file_error_suggests_remedy(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.path.mkdir()
    with pytest.raises(DewyError, match=r"cannot be read: .* move it away"):
        file.read()


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """*value* with a strange value somewhere in it, at any depth."""
    strange = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.just([]),
        st.just({}),
        st.just([[]]),
        st.just({"entries": 3}),
        st.just([{"tag": 1}]),
    )
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 9)) == 0:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutated(draw, value[key])}
    if isinstance(value, list) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], mutated(draw, value[index]), *value[index + 1 :]]
    return draw(strange)


@given(st.data())
def test_mutated_state_is_read_or_refused(data: st.DataObject) -> None:
    """Never a TypeError: and what is read can be shown, planned with and written."""
    text = json.dumps(mutated(data.draw, json.loads(FULL.to_json())))
    try:
        found = State.from_json(text.encode())
    except ValueError:
        return

    shown = status(found, 9.0, name="a", command="", root="/", process=None)
    assert screen(shown, 9.0)
    assert list(explain("v1", found, (), Looked(), 9.0).why)
    assert found == State.from_json(found.to_json())


@pytest.mark.parametrize("pid", [0, 1, -1])
def test_pid_of_no_program_is_refused(pid: int) -> None:
    """The kernel would take it for everybody."""
    data = json.loads(FULL.to_json())
    data["groups"][0]["pid"] = pid
    with pytest.raises(ValueError, match="pid"):
        State.from_json(json.dumps(data).encode())


def test_candidates_skip_bad_and_missing_releases() -> None:
    v4 = replace(V3, tag="v4", identity="d", directory="4")
    state = State(v4, (v4, V3, V2, V1))
    clock = Clock(wall=lambda: 0.0)
    quarantine = Quarantine().add("v3", V3.identity, "no", clock, traffic=False)
    state = replace(state, quarantine=quarantine)

    assert [V2, V1] == list(state.candidates())
    assert [V1] == list(state.candidates(missing=[V2]))


def test_missing_release_is_remembered_until_redeployed() -> None:
    clock = Clock()
    bad = Quarantine().add("v2", V2.identity, "no", clock, traffic=False)
    state = State(V3, (V3, V2, V1), quarantine=bad, back_at=9.0)
    found = state.present({V2.directory, V1.directory})

    assert (V1, V3, 9.0) == (found.running, found.gone, found.back_at)
    assert bad == found.quarantine
    assert found == State.from_json(found.to_json())
    again = replace(V3, directory="20310203T090000Z")
    back = found.deployed(again, 7)
    assert (again, None, 9.0) == (back.running, back.gone, back.back_at)


def test_gone_release_without_another_leaves_nothing_to_run() -> None:
    found = State(V2, (V2,)).present(set())

    assert (None, None) == (found.running, found.gone)


def test_release_that_is_there_stays_though_others_are_gone() -> None:
    assert State(V2, (V2,)) == State(V2, (V2, V1)).present({V2.directory})


def test_failed_state_write_preserves_previous_state(tmp_path: Path) -> None:
    """A full disk costs the change, not the memory."""
    file = StateFile(tmp_path)
    file.write(FULL)
    blocker = next_draft(file)
    blocker.mkdir()
    with pytest.raises(OSError, match="directory"):
        file.write(State())

    assert FULL == file.read()


either = pytest.mark.parametrize("full_disk", ["blocks", "inodes"], indirect=True)


@pytest.fixture
def full_disk(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Path, str]]:
    """A directory with a state file, and the kind of thing its disk has no more of."""
    with mounted(tmp_path / "disk", request.param) as private:
        StateFile(private).write(State())
        fill(private, request.param)
        yield private, request.param


@either
def test_state_is_written_on_full_disk_again_and_again(
    full_disk: tuple[Path, str],
) -> None:
    """What an operator decides there is known to the next dewy."""
    private, kind = full_disk
    file = StateFile(private)
    for state in (FULL, replace(FULL, hold=True), State()):
        file.write(state)
        fill(private, kind)

        assert state == StateFile(private).read()
        assert file.is_as_written()
    assert 0o600 == file.path.stat().st_mode & 0o777


@pytest.mark.parametrize("full_disk", ["blocks"], indirect=True)
def test_oversized_state_on_full_disk_preserves_previous_state(
    full_disk: tuple[Path, str],
) -> None:
    private, kind = full_disk
    file = StateFile(private)
    with pytest.raises(StateNotWritten, match="free space"):
        file.write(State(wanted="v" * 4_000_000))
    assert State() == file.read()

    file.write(FULL)
    fill(private, kind)
    assert FULL == file.read()


@either
def test_spare_file_comes_back_once_there_is_room(full_disk: tuple[Path, str]) -> None:
    private, kind = full_disk
    file = StateFile(private)
    (private / "spare-state").unlink()
    fill(private, kind)
    with pytest.raises(StateNotWritten, match="free space"):
        file.write(FULL)

    make_room(private)
    file.keep_spare()
    fill(private, kind)
    file.write(FULL)
    assert FULL == file.read()


def next_draft(file: StateFile) -> Path:
    """What the next write would create; a directory there makes it fail."""
    return file.path.with_name(f".{file.path.name}.tmp")


def test_going_back_is_to_another_version() -> None:
    """One that was brought again after its files were removed is listed twice."""
    first = Installed("v1", "a", "20310203T040506Z", 1.0)
    again = replace(first, directory="20310203T050607Z", at=2.0)

    assert State(first, (first,)).deployed(again, 7).previous is None
