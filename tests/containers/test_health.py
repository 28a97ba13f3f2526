"""One look at a replica, and what several come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from dewy._speedups.proxy_protocol import LOCAL
from dewy.config import Endpoint
from dewy.containers.health import MOMENT, HealthCheck, HealthTracker, with_usual_cause
from tests.needs import needs
from tests.standins.namespace import in_namespace

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Endpoint]:
    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield Endpoint.of(server.sockets[0])
    finally:
        server.close()
        await asyncio.sleep(0)


def answering(what: bytes, asked: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(request)
        writer.write(what)

    return serve


@needs("namespaces")
def test_self_connection_is_reported_as_refused():
    """The kernel has but one port to connect from: the one that is called."""
    dead = Endpoint("127.0.0.1", 4242)

    said = in_namespace(
        lambda: asyncio.run(HealthCheck("").ask([dead])).problem, port=4242
    )

    assert "127.0.0.1:4242: connection refused" == said


async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_a_good_answer_is_good(status: int):
    async with served(answering(b"HTTP/1.1 %d x\r\n\r\n" % status)) as there:
        assert "" == (await HealthCheck("/up").ask([there])).problem


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 500 x\r\n\r\n", "answered 500"),
        (b"HTTP/1.1 404 x\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 199 x\r\n\r\n", "answered 199"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "not HTTP"),
        (b"220 mail.test ESMTP\r\n", "not HTTP"),
        (b"x" * 100_000, "not HTTP"),
        (b"", "answered nothing"),
    ],
)
async def test_another_is_told(answer: bytes, why: str):
    async with served(answering(answer)) as there:
        told = (await HealthCheck("/up").ask([there])).problem

    assert why in told
    assert f"{there}/up" in told


async def test_the_path_is_asked_for_and_redirects_are_not_followed():
    asked: list[bytes] = []
    moved = b"HTTP/1.1 302 x\r\nLocation: http://192.0.2.1/\r\n\r\n"
    async with served(answering(moved, asked)) as there:
        assert "" == (await HealthCheck("/up?a=b").ask([there])).problem

    assert 1 == len(asked)
    assert asked[0].startswith(b"GET /up?a=b HTTP/1.1\r\n")
    assert b"Connection: close\r\n" in asked[0]


@pytest.mark.parametrize("host", ["", "shop.example:8080"])
async def test_host_header_is_localhost_unless_configured(host: str):
    """Localhost unless another was chosen, never the address of a container."""
    asked: list[bytes] = []
    chosen = {"host": host} if host else {}
    async with served(answering(b"HTTP/1.1 204 x\r\n\r\n", asked)) as there:
        assert "" == (await HealthCheck("/up", **chosen).ask([there])).problem

    assert f"\r\nHost: {host or 'localhost'}\r\n".encode() in asked[0]


async def test_latency_is_the_time_until_the_answer():
    """Not until the connection ends, nor with the wait whether it stays."""
    async with served(answering(b"HTTP/1.1 200 x\r\n\r\n")) as first:
        asked = await HealthCheck("/up").ask([first])
    async with served(stay) as second:
        begun = asyncio.get_running_loop().time()
        connected = await HealthCheck().ask([second])
        taken = asyncio.get_running_loop().time() - begun
        silent = await HealthCheck("/up", timeout=0.05).ask([second])

    assert None is not asked.latency
    assert None is not connected.latency
    assert connected.latency < taken - MOMENT / 2
    assert None is silent.latency
    assert {"at", "ok", "latency"} == asked.to_json().keys()
    assert (True, False) == (asked.to_json()["ok"], silent.to_json()["ok"])


async def test_unresponsive_replica_fails_check_after_timeout():
    async with served(stay) as there:
        told = (await HealthCheck("/up", timeout=0.1).ask([there])).problem

    assert f"{there} did not answer within 0.1 s" == told


async def test_refused_connection_is_reported():
    async with served(stay) as there:
        pass

    assert f"{there}: connection refused" == (await HealthCheck().ask([there])).problem


async def test_without_a_path_a_connection_that_stays_will_do():
    async with served(stay) as there:
        assert "" == (await HealthCheck().ask([there])).problem


async def test_connection_closed_immediately_fails_check():
    """A port may be accepted for an application that is not there yet."""
    async with served(leave) as there:
        assert (
            f"{there} closed the connection"
            == (await HealthCheck().ask([there])).problem
        )


async def test_server_that_sends_first_passes_check():
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.read()

    async with served(greet) as there:
        assert "" == (await HealthCheck().ask([there])).problem


async def test_every_port_counts_and_only_the_first_is_asked_for_the_path():
    asked: list[bytes] = []
    good = answering(b"HTTP/1.1 200 x\r\n\r\n", asked)
    async with served(good) as first, served(stay) as second, served(leave) as third:
        assert "" == (await HealthCheck("/up").ask([first, second])).problem
        told = (await HealthCheck("/up").ask([first, second, third])).problem

    assert f"{third} closed the connection" == told
    assert 2 == len(asked)


@pytest.mark.parametrize("path", ["", "/up"])
async def test_check_with_proxy_protocol_sends_local_header(path: str):
    first: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first.append(await reader.readexactly(len(LOCAL)))
        if path:
            await answering(b"HTTP/1.1 200 x\r\n\r\n")(reader, writer)
        else:
            await reader.read()

    async with served(serve) as there:
        assert "" == (await HealthCheck(path, proxy_protocol=True).ask([there])).problem

    assert [LOCAL] == first


def after(health_tracker: HealthTracker, looks: str) -> list[bool]:
    """The verdicts after each of *looks*: `+` is a good one."""
    verdicts = []
    for look in looks:
        health_tracker = health_tracker.after(look == "+", rise=2, fall=3)
        verdicts.append(health_tracker.healthy)
    return verdicts


@pytest.mark.parametrize(
    ("looks", "verdicts"),
    [
        ("+++", "+++"),
        ("--", "++"),
        ("---", "++-"),
        ("--+--", "+++++"),
        ("---+", "++--"),
        ("---++", "++--+"),
        ("---+-+", "++----"),
        ("---++---", "++--+++-"),
    ],
)
def test_health_changes_only_after_consecutive_results(looks: str, verdicts: str):
    assert [each == "+" for each in verdicts] == after(HealthTracker(), looks)


@pytest.mark.parametrize(
    ("problem", "hinted"),
    [
        ("172.17.0.2:8080: connection refused", True),
        ("127.0.0.1:49152 closed the connection", True),
        ("172.17.0.2:8080/up answered 500", False),
        ("", False),
    ],
)
def test_usual_cause_of_a_refusal_is_named(problem: str, hinted: bool):
    told = with_usual_cause(problem)

    assert told.startswith(problem)
    assert hinted == ("inside a container listen on 0.0.0.0" in told)
