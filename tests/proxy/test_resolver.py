"""Host names of backends."""

from __future__ import annotations

import socket

import pytest

from dewy.config import Endpoint, HostName
from dewy.proxy.resolver import Resolver

NAME = HostName("app.example", 80)


class Names:
    """What the system's resolver knows."""

    def __init__(self) -> None:
        self.hosts: list[str] | OSError = []

    async def look_up(self, name: HostName) -> list[Endpoint]:
        if isinstance(self.hosts, OSError):
            raise self.hosts
        return [Endpoint(each, name.port) for each in self.hosts]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def resolver(names: Names) -> Resolver:
    return Resolver(look_up=names.look_up)


async def test_localhost_is_where_somebody_listens() -> None:
    """At one of the two addresses that it has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = await Resolver().addresses([HostName("localhost", port)])
    assert [Endpoint("127.0.0.1", port)] == found


async def test_addresses_stand_beside_names(resolver: Resolver, names: Names) -> None:
    """Each counts once."""
    names.hosts = ["192.0.2.1", "192.0.2.2"]
    backends = (Endpoint("192.0.2.2", 80), NAME, Endpoint(path="/run/x"))
    found = await resolver.addresses(backends)
    assert ["192.0.2.2:80", "192.0.2.1:80", "unix:/run/x"] == [*map(str, found)]


async def test_addresses_stay_while_a_name_cannot_be_looked_up(
    resolver: Resolver, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """Which is told once."""
    names.hosts = ["192.0.2.1"]
    before = await resolver.addresses([NAME])
    names.hosts = socket.gaierror(-3, "Temporary failure in name resolution")
    assert before == await resolver.addresses([NAME])
    assert before == await resolver.addresses([NAME])
    assert 1 == caplog.messages.count("Cannot look up backend")
    names.hosts = ["192.0.2.9"]
    assert [Endpoint("192.0.2.9", 80)] == await resolver.addresses([NAME])


async def test_name_that_was_never_known_has_no_address(
    resolver: Resolver, names: Names
) -> None:
    names.hosts = socket.gaierror(-2, "Name or service not known")
    assert [] == await resolver.addresses([NAME])


async def test_while_none_answers_the_addresses_before_count(
    resolver: Resolver, names: Names, unused_tcp_port: int
) -> None:
    """A program that is restarted does not change its address."""
    name = HostName("localhost", unused_tcp_port)
    names.hosts = ["::1", "127.0.0.1"]
    assert 2 == len(await resolver.addresses([name]))
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        answering = await resolver.addresses([name])
    assert [Endpoint("127.0.0.1", unused_tcp_port)] == answering
    assert answering == await resolver.addresses([name])


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (TimeoutError(), "no answer in time"),
        (UnicodeError("label too long"), "this is not a valid host name"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
    ],
)
async def test_reason_of_a_failed_lookup_is_told_in_words(
    failure: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(name: HostName) -> list[Endpoint]:
        raise failure

    assert [] == await Resolver(look_up=fails).addresses([NAME])
    (record,) = caplog.records
    assert told == getattr(record, "error").split("] ")[-1]  # noqa: B009
