"""Lines of the log about connections."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from dewy._speedups.interface import Ended
from dewy.config import Endpoint
from dewy.proxy import Backend, Port, Proxy
from dewy.proxy.proxy import log_ended
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask, asked, connect

LINE = "Connection ended"


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.msg == LINE]


@pytest.fixture
async def relaying(
    application: Applications, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[tuple[Port, Backend]]:
    """A port that logs its connections, and its backend."""
    caplog.set_level(logging.INFO)
    async with Proxy(threads=1, log_connections=True) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1"))
        yield port, port.add((await application("one")).endpoint)


async def test_each_connection_is_a_line_where_that_was_asked_for(
    relaying: tuple[Port, Backend], caplog: pytest.LogCaptureFixture
) -> None:
    port, backend = relaying
    for _ in range(3):
        assert "one" == await asked(port)
    await eventually(lambda: len(lines(caplog)) == 3)

    said = lines(caplog)[0].__dict__
    assert "INFO" == said["levelname"]
    assert (str(port.endpoint), str(backend.endpoint)) == (
        said["port"],
        said["backend"],
    )
    assert said["client"].startswith("127.0.0.1:")
    assert len("one\n") == said["bytes_down"]


async def test_line_of_a_connection_that_outlives_its_backend_names_it(
    relaying: tuple[Port, Backend], caplog: pytest.LogCaptureFixture
) -> None:
    """As those that are cut when a container has died."""
    port, backend = relaying
    stream = await connect(port)
    assert "one" == await ask(stream)
    await backend.remove()
    stream[1].close()
    await eventually(lambda: len(lines(caplog)) == 1)

    assert str(backend.endpoint) == lines(caplog)[0].__dict__["backend"]


@pytest.mark.parametrize(
    ("level", "wanted"), [(logging.INFO, False), (logging.WARNING, True)]
)
async def test_relay_journal_stays_empty_without_connection_logging(
    application: Applications,
    caplog: pytest.LogCaptureFixture,
    level: int,
    wanted: bool,
) -> None:
    """Not even into the relay's journal."""
    caplog.set_level(level)
    async with Proxy(threads=1, log_connections=wanted) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1"))
        port.add((await application("one")).endpoint)
        assert "one" == await asked(port)
        await eventually(lambda: not port.stats().active)

        assert ([], 0) == proxy._relay.ended()
    assert [] == lines(caplog)


def test_dropped_journal_entries_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_ended([Ended(1, 9, "", True, 1, 2, 0.5)], 7, {1: "127.0.0.1:80"}, {})

    first, second = caplog.records
    assert ("", 0.5) == (first.__dict__["backend"], first.__dict__["seconds"])
    assert ("Connections not logged", 7) == (second.msg, second.__dict__["count"])
