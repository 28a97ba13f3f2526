"""`dewy exec`."""

from __future__ import annotations

from typing import Any

import pytest

from dewy.cli.exec import choose, command_line
from dewy.errors import DewyError
from tests.cli.conftest import Asked, Dewy


def container(name: str, index: int, phase: str = "serving") -> dict[str, Any]:
    labels = {"dewy.replica": str(index)}
    return {"name": name, "id": f"{index}f" * 8, "phase": phase, "labels": labels}


LEAVING = container("shop-1-0", 0, "leaving")
FIRST, SECOND = container("shop-2-0", 0), container("shop-2-1", 1)
ALL = [LEAVING, FIRST, SECOND]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (None, FIRST),
        ("0", FIRST),
        ("1", SECOND),
        ("shop-1-0", LEAVING),
        ("1f1f1f1f", SECOND),
    ],
)
def test_replica_is_chosen_as_for_logs(which: str | None, expected: object) -> None:
    assert expected == choose(ALL, which)


def test_replica_that_is_not_there_is_told() -> None:
    with pytest.raises(
        DewyError, match=r"no replica 7 is here \(there are: shop-1-0, "
    ):
        choose(ALL, "7")
    with pytest.raises(DewyError, match="no replica serves"):
        choose([LEAVING], None)


def test_tool_of_the_engine_is_called_at_its_address() -> None:
    engine = {"flavour": "docker", "address": "unix:///run/docker.sock"}
    words = [
        "docker",
        "--host",
        "unix:///run/docker.sock",
        "exec",
        "-i",
        "abc",
        "ls",
        "-l",
    ]
    assert words == command_line(engine, "abc", ("ls", "-l"), terminal=False)

    engine = {"flavour": "podman", "address": "unix:///run/podman.sock"}
    line = command_line(engine, "abc", ("sh",), terminal=True)
    assert ["podman", "--url", "unix:///run/podman.sock", "exec", "-i", "-t"] == line[
        :6
    ]


def test_command_is_required(dewy: Dewy) -> None:
    ended = dewy("exec")

    assert 2 == ended.status
    assert "exec needs a command" in ended.err


def test_exec_without_containers_is_refused(dewy: Dewy, asked: Asked) -> None:
    ended = dewy("exec", "--", "ls")

    assert (1, [("containers", {})]) == (ended.status, asked.verbs)
    assert "exec is for dewy container" in ended.err


def test_empty_name_of_a_replica_is_refused(dewy: Dewy, asked: Asked) -> None:
    """It is the beginning of every id."""
    ended = dewy("exec", "--replica", "", "--", "ls")

    assert (2, []) == (ended.status, asked.verbs)
    assert "--replica must be an index, a name or an id, not empty" in ended.err
