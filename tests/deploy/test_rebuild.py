"""The state of a root that has none to read."""

from __future__ import annotations

from pathlib import Path

from dewy.config import Settings
from dewy.deploy.history import History, Record
from dewy.deploy.rebuild import condemned, left, named
from dewy.deploy.state import Installed, State

AT = 1_927_857_906.0  # 2031-02-03 04:05:06 UTC
V1, V2 = "20310203T040506Z", "20310203T040606Z"


def deployed(tag: str, at: float, action: str = "deploy") -> Record:
    return Record(at, tag, "", action, "deployed", "done", "", 5.0)


def test_directories_are_named_after_the_deployments_that_made_them() -> None:
    records = [deployed("v1", AT + 4), deployed("v2", AT + 64)]

    assert [
        Installed("v2", "", V2, AT + 60),
        Installed("v1", "", V1, AT),
    ] == named([V1, V2, "other"], records)


def test_directory_without_unique_deployment_is_not_named() -> None:
    """A guess would say that a version runs that does not."""
    records = [deployed("v1", AT + 4, "rollback"), deployed("v2", AT + 600)]

    assert [] == named([V1, V2], records)
    assert [] == named([V1], [deployed("v1", AT + 1), deployed("v2", AT + 3)])


def test_state_of_containers_is_left_to_their_labels(tmp_path: Path) -> None:
    settings = Settings(command="container", root=tmp_path, cache_dir=tmp_path)

    assert State() == left(settings)


def row(tag: str, outcome: str, at: float, **more: str) -> Record:
    told = {"previous": "", "action": "deploy", "step": "probation", **more}
    return Record(at=at, tag=tag, outcome=outcome, reason="died", seconds=5.0, **told)


def root_of(tmp_path: Path, *records: Record, link: str, command: str) -> Settings:
    settings = Settings(command=command, root=tmp_path, cache_dir=tmp_path / "none")
    settings.private.mkdir()
    for each in records:
        History(settings.private).append(each)
    for name in (V1, V2):
        (tmp_path / "releases" / name).mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "releases" / link)
    return settings


def test_version_rolled_back_is_never_previous(tmp_path: Path) -> None:
    records = [
        deployed("v1", AT + 4),
        deployed("v2", AT + 64),
        row("v2", "rolled back", AT + 70),
    ]

    state = left(root_of(tmp_path, *records, link=V1, command="server"))

    assert state.running is not None
    assert "v1" == state.running.tag
    assert state.previous is None
    assert AT + 70 == state.back_at
    assert state.quarantine.blocking("v2", "any bytes", AT + 10**6)


def test_versions_that_failed_are_in_quarantine_until_deployed() -> None:
    records = [
        deployed("v1", AT),
        row("v2", "rolled back", AT + 10),
        row("v3", "failed", AT + 20, step="start"),
        row("v4", "failed", AT + 30, step="start"),
        deployed("v4", AT + 40),
        row("v5", "failed", AT + 50),
        row("v1", "deployed", AT + 60, action="rollback", previous="v4"),
        row("v6", "cancelled", AT + 70, step="fetch"),
    ]

    assert [
        ("v2", None, ""),
        ("v3", AT + 80, ""),
        ("v5", None, ""),
        ("v4", None, "operator"),
    ] == [(each.tag, each.until, each.by) for each in condemned(records)]
    again = deployed("v4", AT + 90)
    assert condemned([*records, again]).find("v4", "") is None


def test_quarantine_of_containers_comes_from_the_history(tmp_path: Path) -> None:
    records = [deployed("v2", AT + 64), row("v2", "rolled back", AT + 70)]

    state = left(root_of(tmp_path, *records, link=V1, command="container"))

    assert state.running is None
    assert ["v2"] == [each.tag for each in state.quarantine]
