"""What often goes wrong is told in few lines."""

from __future__ import annotations

import logging

import pytest

from dewy._speedups.interface import Errors
from dewy.config import Endpoint
from dewy.proxy import Port, Proxy
from dewy.proxy.port import Troubles
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask, asked, connect


class Counted:
    """Errors as a port counts them."""

    def __init__(self) -> None:
        self.errors = dict.fromkeys(Errors._fields, 0)

    def __call__(self) -> Errors:
        return Errors(**self.errors)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def counts(lines: pytest.LogCaptureFixture, message: str) -> list[int]:
    """The numbers that the lines with *message* give."""
    found = [each for each in lines.records if each.getMessage() == message]
    return [vars(each)["count"] for each in found]


async def test_repeated_errors_are_logged_once_per_interval(
    counted: Counted, lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once, the others together when time is up."""
    monkeypatch.setattr("dewy.proxy.port.LOG_INTERVAL", 0.5)
    port = Troubles(counted, port="80")
    for _ in range(20):
        counted.errors["accept_failed"] += 1
        port.report("accept_failed", error="Too many open files")
    assert [1] == counts(lines, "Accepting failed")
    await eventually(lambda: [1, 19] == counts(lines, "Accepting failed"))
    assert {"Too many open files"} == {vars(each)["error"] for each in lines.records}
    port.stop()


async def test_causes_do_not_hide_each_other(
    counted: Counted, lines: pytest.LogCaptureFixture
) -> None:
    port = Troubles(counted, port="80")
    for cause in ("accept_failed", "no_address", "idle_timeout"):
        counted.errors[cause] += 1
        port.report(cause)
    port.stop()
    assert ["Accepting failed", "No local port left", "Reset silent connections"] == [
        each.getMessage() for each in lines.records
    ]


async def test_stop_logs_pending_error_count(
    counted: Counted, lines: pytest.LogCaptureFixture
) -> None:
    port = Troubles(counted, port="80")
    counted.errors["no_address"] = 1
    port.report("no_address")
    counted.errors["no_address"] = 5
    port.report("no_address")
    port.stop()
    assert [1, 4] == counts(lines, "No local port left")


async def test_clients_that_no_backend_answers_leave_a_line(
    port: Port, lines: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    port.add(Endpoint("127.0.0.1", unused_tcp_port))
    assert "" == await asked(port)
    message = "Clients are turned away: no backend answers"
    await eventually(lambda: [1] == counts(lines, message))


async def test_idle_timeout_leaves_a_line(
    application: Applications, lines: pytest.LogCaptureFixture
) -> None:
    async with Proxy(threads=1, idle_timeout=0.2) as proxy:
        port: Port = await proxy.open(Endpoint("127.0.0.1", 0))
        port.add((await application("it")).endpoint)
        stream = await connect(port)
        assert "it" == await ask(stream)
        await eventually(lambda: [1] == counts(lines, "Reset silent connections"))
        stream[1].close()
