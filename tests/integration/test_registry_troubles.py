"""A registry that is away, slow, refusing or talking rubbish: the application runs."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from dewy.demo.load import Load
from tests.standins import programs, roots
from tests.standins.files import Fault
from tests.standins.github import TOKEN, GitHubServer
from tests.standins.site import Dewy

LISTING = "GET /repos/acme/app/releases"

# What GitHub answers, and what the operator reads.
TROUBLES = {
    "401": (Fault(status=401), "401 Unauthorized: check GITHUB_TOKEN"),
    "403": (Fault(status=403), "403 Forbidden: GITHUB_TOKEN may not do this"),
    "404": (Fault(status=404), "404 Not Found: no such thing, or GITHUB_TOKEN may not"),
    "429": (
        Fault(status=429, headers={"Retry-After": "1"}),
        "429: rate limit reached, ask again in 1 s",
    ),
    "500": (Fault(status=500), "answered 500"),
    "503": (Fault(status=503), "answered 503"),
    "rubbish": (Fault(body=b"<html>captive portal</html>"), "not JSON"),
    "another document": (Fault(body=b'{"releases": 3}'), "not a list of releases"),
    "another list": (Fault(body=b"[1, 2]"), "not a list of releases"),
    "nothing": (Fault(body=b""), "not JSON"),
    "encoded wrongly": (
        Fault(body=b"[]", headers={"Content-Encoding": "gzip"}),
        "broke off the connection",
    ),
}


@dataclass
class Polling(Dewy):
    """Asks a GitHub of the test; with little patience, if *patience* is set."""

    patience: float = 0

    def asks(self, api: str) -> None:
        self.registry_url = "ghr://acme/app?artifact=app.tar.gz"
        self.variables = {"GITHUB_API_URL": api, "GITHUB_TOKEN": TOKEN}

    def arguments(self) -> list[str]:
        arguments = super().arguments()
        if not self.patience:
            return arguments
        code = (
            "from dewy import follow_up; from dewy.cli import main; "
            f"follow_up.REGISTRY_DEADLINE = {self.patience}; main()"
        )
        return [sys.executable, "-c", code, *arguments[3:]]


@pytest.fixture
async def github() -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        publish(server, "v1.0.0")
        yield server


@pytest.fixture
def dewy(tmp_path, unused_tcp_port, github) -> Polling:
    polling = Polling(tmp_path, unused_tcp_port, options=["--log-level", "debug"])
    polling.asks(github.api)
    return polling


def publish(server: GitHubServer, version: str) -> None:
    artifact = programs.tarball(programs.files(version))
    server.publish(version, {"app.tar.gz": artifact})


async def test_trouble_with_the_registry_touches_no_application(dewy, github):
    """It serves on, the operator reads why, and all goes on by itself."""
    async with dewy:
        await dewy.until(lambda now: now["last_poll"])
        async with Load(dewy.port, 2, 0.01) as load:
            for fault, reason in TROUBLES.values():
                github.faults.extend([fault] * 10_000)
                status = await dewy.until(lambda now: now["last_error"])
                assert_told(status, reason)
                github.faults.clear()
                status = await dewy.until(lambda now: not now["last_error"])
                assert [] == status["degraded"]
            publish(github, "v1.1.0")
            await dewy.runs("v1.1.0")

    assert {} == load.tally.failures
    assert {"v1.0.0", "v1.1.0"} == set(load.tally.versions)
    assert len(TROUBLES) == dewy.log.count("Poll succeeded again")


async def test_a_registry_that_never_answers_is_given_up_on(dewy, github):
    """A call without a deadline used to end all polling, silently."""
    dewy.patience = 0.3
    async with dewy:
        await dewy.runs("v1.0.0")
        github.faults.extend([Fault(then="stall")] * 10_000)
        publish(github, "v1.1.0")
        status = await dewy.until(lambda now: now["last_error"])
        assert_told(status, "no answer within 0.3 s")
        assert "v1.0.0" == await dewy.fetch()
        github.faults.clear()
        await dewy.runs("v1.1.0")


async def test_registry_retry_after_header_delays_next_poll(dewy, github):
    """Retry-After is honoured, however short the interval."""
    async with dewy:
        await dewy.until(lambda now: now["last_poll"])
        github.faults.append(Fault(status=429, headers={"Retry-After": "1"}))
        status = await dewy.until(lambda now: now["last_error"])
        asked = len(github.seen)
        assert status["next_poll"] - status["last_poll"] >= 1
        await dewy.until(lambda now: now["last_poll"] > status["last_poll"])

        assert not (await dewy.ask("status"))["last_error"]
    assert 429 == github.statuses[asked - 1]
    assert github.statuses[asked] in (200, 304)


@pytest.mark.parametrize("trouble", ["401", "503", "never answers", "rubbish"])
async def test_trouble_with_the_registry_keeps_no_application_down(
    dewy, github, trouble
):
    """
    What ran is started from disk, and dewy is ready, before anybody is asked.

    Nothing used to run until the registry had said what.
    """
    await left_by_a_dewy(dewy)
    fault = TROUBLES[trouble][0] if trouble in TROUBLES else Fault(then="stall")
    github.faults.extend([fault] * 10_000)
    dewy.patience = 0.3
    async with dewy:
        await dewy.runs("v1.0.0")
        assert "v1.0.0" == await dewy.fetch()
        await dewy.until(lambda now: now["last_error"])
        github.faults.clear()
        publish(github, "v1.1.0")
        await dewy.runs("v1.1.0")


async def test_dewy_is_ready_without_its_registry(
    dewy, tmp_path, unused_tcp_port_factory
):
    """systemd hears READY=1 when listeners are open and what ran runs."""
    await left_by_a_dewy(dewy)
    dewy.asks(f"http://127.0.0.1:{unused_tcp_port_factory()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.setblocking(False)
        dewy.variables["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        async with dewy:
            told = await receive(notified, "READY=1")
            assert "v1.0.0" == await dewy.fetch()
            assert "v1.0.0 runs" in told
            status = await dewy.until(lambda now: now["last_error"])
            assert_told(status, "127.0.0.1 could not be reached")


@pytest.mark.parametrize("command", ["server", "assets"])
async def test_a_directory_that_is_away_is_waited_for(
    tmp_path, unused_tcp_port, command
):
    """A mount that comes and goes, also while dewy starts."""
    port = unused_tcp_port if command == "server" else 0
    dewy = Dewy(tmp_path, port, command)
    dewy.publish("v1.0.0")
    away = tmp_path / "away"
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.registry.rename(away)
        status = await dewy.until(lambda now: now["last_error"])
        assert_told(status, f"{dewy.registry}.*No such file")
    async with dewy:
        # Starting it makes an empty registry.
        await dewy.until(lambda now: now["last_error"] and now["running"])
        dewy.registry.rmdir()
        away.rename(dewy.registry)
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")


async def test_poll_without_changes_sends_single_conditional_request(dewy, github):
    """GitHub does not bill a 304; a host used to spend 360 requests an hour."""
    async with dewy:
        await dewy.deploys("v1.0.0")
    dewy.options = ["--interval", "1h"]
    async with dewy:
        first = await dewy.until(lambda now: now["last_poll"])
        github.forget()
        for _ in range(3):
            before = (await dewy.ask("status"))["last_poll"]
            await dewy.ask("unhold")  # wakes the poller, and changes nothing
            await dewy.until(lambda now, before=before: now["last_poll"] > before)

        assert [304] * 3 == github.statuses
        assert 0 == github.billed
        assert [LISTING] * 3 == [path.partition("?")[0] for path in github.paths()]
        assert first["running"] == (await dewy.ask("status"))["running"]


async def test_a_token_reaches_no_place_where_people_read(dewy, github):
    """Not even when GitHub, or whoever answers for it, says it back."""
    echo = json.dumps({"message": f"Bad credentials: {TOKEN}"}).encode()
    github.faults.extend([Fault(status=401, body=echo)] * 10_000)
    async with dewy:
        status = await dewy.until(lambda now: now["last_error"])
        assert "GITHUB_TOKEN" in status["last_error"]
        github.faults.clear()
        await dewy.runs("v1.0.0")
        said = await roots.say(dewy.root, "status", "--json")
        assert TOKEN not in said.out + said.err
    assert TOKEN not in dewy.log
    for path in dewy.root.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


async def left_by_a_dewy(dewy: Dewy) -> None:
    dewy.root.mkdir()
    await roots.deployed(dewy.root, "v1.0.0")


def assert_told(status: dict[str, Any], reason: str) -> None:
    """The operator reads *reason*, a pattern, in one line."""
    error = status["last_error"]
    assert re.search(reason, error), error
    assert "\n" not in error
    assert [f"the last poll failed: {error}"] == status["degraded"]


async def receive(notified: socket.socket, wanted: str) -> str:
    """The first datagram with *wanted* in it."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while wanted not in (told := (await loop.sock_recv(notified, 4096)).decode()):
            pass
    return told
