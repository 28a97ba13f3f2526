"""The state of a root that has none to read."""

from __future__ import annotations

from pathlib import Path

from dewy.config import Settings
from dewy.deploy.history import Record
from dewy.deploy.rebuild import left, named
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


def test_directory_without_one_deployment_has_no_name() -> None:
    """A guess would say that a version runs that does not."""
    records = [deployed("v1", AT + 4, "rollback"), deployed("v2", AT + 600)]

    assert [] == named([V1, V2], records)
    assert [] == named([V1], [deployed("v1", AT + 1), deployed("v2", AT + 3)])


def test_state_of_containers_is_left_to_their_labels(tmp_path: Path) -> None:
    settings = Settings(command="container", root=tmp_path, cache_dir=tmp_path)

    assert State() == left(settings)
