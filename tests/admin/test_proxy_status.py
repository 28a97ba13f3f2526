"""The status of `dewy proxy`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from dewy.admin.http import status_answer
from dewy.admin.proxy_status import proxy_status
from dewy.config import HostName
from dewy.proxy import Endpoint, Port, Proxy


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with Proxy(threads=0) as proxy:
        yield await proxy.open(Endpoint("127.0.0.1", 0))


async def test_proxy_has_the_status_of_any_other_mode(port: Port) -> None:
    port.add(Endpoint("127.0.0.1", 9))
    told = proxy_status([port], name="edge", root="/srv/edge", pid=7)

    assert told == json.loads(json.dumps(told))
    assert ("proxy", True, []) == (told["command"], told["healthy"], told["degraded"])
    assert [str(port.endpoint)] == [each["address"] for each in told["ports"]]
    (backend,) = told["backends"]
    assert ("127.0.0.1:9", "serving") == (backend["address"], backend["state"])
    answer = status_answer(told)
    assert ("proxy", 3, 1) == (
        answer["mode"],
        answer["command"],
        answer["proxy_backends"],
    )


async def test_backend_that_does_not_answer_is_a_problem_once(port: Port) -> None:
    for _ in range(2):
        port.add(Endpoint("127.0.0.1", 9)).eject()
    told = proxy_status([port], name="edge", root="/srv/edge", pid=7)

    assert ["backend 127.0.0.1:9 does not answer"] == told["degraded"]
    assert not told["healthy"]


async def test_port_without_backend_is_a_problem(port: Port) -> None:
    told = proxy_status([port], name="edge", root="/srv/edge", pid=7)

    assert [f"port {port.endpoint} has no backend"] == told["degraded"]


async def test_port_that_accepts_no_more_is_left_out(port: Port) -> None:
    port.close()
    told = proxy_status([port], name="edge", root="/srv/edge", pid=7)

    assert ([], []) == (told["ports"], told["degraded"])


async def test_name_that_is_never_looked_up_is_a_problem(port: Port) -> None:
    """Beside other backends, too; one whose last addresses serve needs attention."""
    port.add(Endpoint("127.0.0.1", 9))
    lost, stale = HostName("lost.example", 80), HostName("stale.example", 80)
    unresolved = {lost: [], stale: [Endpoint("127.0.0.1", 9)]}
    told = proxy_status(
        [port], name="edge", root="/srv/edge", pid=7, unresolved=unresolved
    )

    assert ["backend lost.example:80 cannot be looked up"] == told["degraded"]
    assert [
        "backend stale.example:80 cannot be looked up; its last addresses are used"
    ] == told["attention"]
