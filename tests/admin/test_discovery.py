"""Finding the dewys of a host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dewy.admin.control import ControlServer
from dewy.admin.discovery import Instance, containers, everywhere, nearby, tried
from dewy.admin.status import ProcessStatus
from dewy.admin.status import status as describe
from dewy.config import Settings
from dewy.deploy.state import State
from dewy.errors import DewyError
from tests.standins.admin_api import admin_apis, status

PLACE = "/api/status"


async def test_every_dewy_is_found_by_its_port() -> None:
    """And nothing else that listens there."""
    server, container = status(0, name="a"), status(2, name="b")
    with admin_apis(
        {PLACE: server},
        None,
        {PLACE: b"<html>"},
        {PLACE: {"status": "UP"}},
        {PLACE: [1]},
        {},
        {PLACE: container},
    ) as first:
        found = await nearby(first)

    assert [(first, "server", "a"), (first + 6, "container", "b")] == [
        (each.port, each.mode, each.status["name"]) for each in found
    ]


async def test_containers_are_those_that_the_api_tells() -> None:
    """None where that dewy keeps none."""
    api = "/api/containers"
    with admin_apis({api: {"containers": [{"name": "x"}]}}) as port:
        assert {"containers": [{"name": "x"}]} == await containers(port)
    with admin_apis({api: {"containers": None}}) as port:
        assert {"containers": None} == await containers(port)


async def test_long_answers_are_read_to_their_end() -> None:
    """They come in pieces: a thousand replicas are a megabyte."""
    long = {"containers": [{"name": "x" * 1000}] * 1000}
    with admin_apis({"/api/containers": long}) as port:
        assert long == await containers(port)


@pytest.mark.parametrize("answer", [None, b"{", [], {"containers": "x"}])
async def test_other_answers_are_told(answer: object) -> None:
    """As what they are."""
    with (
        admin_apis({"/api/containers": answer}) as port,
        pytest.raises(DewyError, match=f"port {port} does not report its containers"),
    ):
        await containers(port)


def test_ten_ports_are_tried() -> None:
    """Those that a dewy takes; 0 means none of its own, but others have theirs."""
    assert range(17539, 17549) == tried(Settings.admin_port) == tried(0)
    assert range(65530, 65536) == tried(65530)


@pytest.mark.parametrize(
    ("command", "mode"),
    [(0, "server"), (1, "assets"), (2, "container"), (7, "7"), ("proxy", "proxy")],
)
def test_mode_is_a_number_in_the_api(command: object, mode: str) -> None:
    """One that nobody knows is shown as it is."""
    assert mode == Instance(1, {"command": command}).mode


@pytest.mark.parametrize("length", [1, 150])
async def test_dewy_without_a_port_is_found_by_its_control_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """The eleventh of a host has none; long paths are bound through a descriptor."""
    root = tmp_path / ("r" * length)
    private = root / ".dewy"
    private.mkdir(parents=True)
    monkeypatch.chdir(root)
    told = describe(
        State(),
        0.0,
        name="shop",
        command="assets",
        root=str(root),
        process=ProcessStatus(os.getpid()),
    )

    async def handle(verb: str, args: dict[str, Any], progress: Any) -> dict[str, Any]:
        return told

    with admin_apis({PLACE: status(0, name="a", root="/srv/a")}) as first:
        async with ControlServer(private / "admin.sock", handle):
            found = await everywhere(first)

    ours = [e for e in found if e.status["root"] in (str(root), "/srv/a")]
    assert [(first, "a", "server"), (0, "shop", "assets")] == [
        (each.port, each.status["name"], each.mode) for each in ours
    ]
    assert os.getpid() == ours[1].status["pid"]


async def test_dewy_on_another_admin_port_is_found_with_that_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through its root, where the ports that are tried do not lead to it."""
    told = describe(
        State(),
        0.0,
        name="shop",
        command="server",
        root=str(tmp_path),
        process=ProcessStatus(os.getpid(), admin_port=4711),
    )

    async def handle(verb: str, args: Any, progress: Any) -> dict[str, Any]:
        return told

    private = tmp_path / ".dewy"
    private.mkdir()
    with admin_apis({}) as first:
        async with ControlServer(private / "admin.sock", handle):
            found = await everywhere(first)

    ours = [each for each in found if each.status["root"] == str(tmp_path)]
    assert [4711] == [each.port for each in ours]
