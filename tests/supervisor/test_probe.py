"""Health checks of real processes that share a listening socket."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.errors import StartFailed
from dewy.supervisor import probe as module
from dewy.supervisor.probe import Probe, ProbeResult, wait_healthy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVE = Path(__file__).with_name("serve.py")
OK = "HTTP/1.1 200 OK"
ERROR = "HTTP/1.1 500 Internal Server Error"

PROBE = Probe("/healthz", timeout=20.0, interval=0.01)
BRIEF = replace(PROBE, deadline=0.1)

Serve = Callable[..., "subprocess.Popen[bytes]"]
Refused = Callable[..., Awaitable[str]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def serve(listener: socket.socket) -> Iterator[Serve]:
    """Starts generations on *listener*, each once the ones before it accept."""
    started = []

    def start(
        answer: str = OK, how: str = "plain", sock: socket.socket = listener
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-S", str(SERVE), str(sock.fileno()), answer, how],
            pass_fds=[sock.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout
        assert b"up\n" == process.stdout.readline()
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def address(sock: socket.socket) -> tuple[str, int]:
    host, port = sock.getsockname()[:2]
    return host, port


class Impatient(module.ProbeTally):
    """Lets the time run out once three rounds have ended for one reason."""

    def __init__(self, interval: float) -> None:
        super().__init__(interval)
        self._rounds = Counter[str]()

    def add(self, answers: Sequence[ProbeResult]) -> float:
        pause = super().add(answers)
        self._rounds[self.reason] += 1
        if self._rounds[self.reason] == 3:
            raise TimeoutError
        return pause


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Checks, and returns why it failed, as it must."""
    monkeypatch.setattr(module, "ProbeTally", Impatient)

    async def check(sock: socket.socket, leader: int, asked: Probe = PROBE) -> str:
        with pytest.raises(StartFailed) as failure:
            await wait_healthy(address(sock), asked, leader)
        return str(failure.value)

    return check


async def test_first_generation_that_answers_is_healthy(
    listener: socket.socket, serve: Serve
) -> None:
    await wait_healthy(address(listener), PROBE, serve().pid)


@pytest.mark.parametrize("old", ["plain", "busy", "prefork"])
async def test_probe_reaches_new_generation_beside_old_generation(
    listener: socket.socket, serve: Serve, old: str
) -> None:
    serve(OK, old)

    await wait_healthy(address(listener), PROBE, serve().pid)


async def test_good_answers_of_the_old_generation_do_not_count(
    listener: socket.socket, serve: Serve, refused: Refused
) -> None:
    """They share the socket, so an answer alone proves nothing of the new one."""
    serve()

    reason = await refused(listener, serve(ERROR).pid)

    assert "/healthz was not healthy within 20 s: answered 500" == reason


async def test_bad_answers_of_the_old_generation_do_not_count(
    listener: socket.socket, serve: Serve
) -> None:
    serve(ERROR)

    await wait_healthy(address(listener), PROBE, serve().pid)


async def test_workers_of_the_new_generation_count(
    listener: socket.socket, serve: Serve
) -> None:
    """A leader that forks them accepts nothing itself."""
    serve()

    await wait_healthy(address(listener), PROBE, serve(OK, "prefork").pid)


async def test_redirection_is_good_and_not_followed(
    listener: socket.socket, serve: Serve
) -> None:
    answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/"

    await wait_healthy(address(listener), PROBE, serve(answer).pid)


async def test_request_is_complete_and_names_the_host(
    listener: socket.socket, serve: Serve
) -> None:
    asked = Probe("/up?deep=1", 20.0, interval=0.01)

    await wait_healthy(address(listener), asked, serve(OK, "strict").pid)


async def test_half_started_generation_is_not_healthy(
    listener: socket.socket, serve: Serve, refused: Refused
) -> None:
    """It lives, but never accepts; the old one answers everything meanwhile."""
    serve(OK, "busy")
    reason = await refused(listener, serve(OK, "idle").pid)

    assert reason.endswith("only the old generation answered")


async def test_generation_that_is_gone_is_not_healthy(
    listener: socket.socket, serve: Serve, refused: Refused
) -> None:
    serve(OK, "busy")
    new = serve()
    new.kill()
    new.wait()
    reason = await refused(listener, new.pid)

    assert reason.endswith("only the old generation answered")


async def test_generation_that_starts_slowly_is_waited_for(
    listener: socket.socket, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first answer may come after connections were given up."""
    new = serve(OK, "late")
    loop = asyncio.get_running_loop()
    rounds = 0

    class Counting(module.ProbeTally):
        def add(self, answers: Sequence[ProbeResult]) -> float:
            nonlocal rounds
            rounds += 1
            if rounds == 1:
                loop.call_soon(os.write, new.stdin.fileno(), b"\n")
            return super().add(answers)

    monkeypatch.setattr(module, "ProbeTally", Counting)
    await wait_healthy(address(listener), replace(PROBE, deadline=0.5), new.pid)

    assert rounds > 1


@pytest.mark.parametrize(
    ("answer", "how", "asked", "reason"),
    [
        (ERROR, "plain", PROBE, "answered 500"),
        ("SSH-2.0-OpenSSH", "plain", PROBE, "answered something other than HTTP"),
        ("x" * 10_000, "plain", PROBE, "answered something other than HTTP"),
        (OK, "silent", BRIEF, "no answer in 0.1 s"),
        (OK, "idle", BRIEF, "no answer in 0.1 s"),
    ],
    ids=["error", "rubbish", "long rubbish", "silent", "idle"],
)
async def test_failure_reason_names_last_probe_result(
    listener: socket.socket,
    serve: Serve,
    refused: Refused,
    answer: str,
    how: str,
    asked: Probe,
    reason: str,
) -> None:
    new = serve(answer, how)
    told = await refused(listener, new.pid, asked)

    assert told.endswith(reason)


async def test_connection_that_is_closed_at_once_is_no_answer(
    listener: socket.socket, serve: Serve, refused: Refused
) -> None:
    """Too fast, at times, to see who closed it."""
    told = await refused(listener, serve(OK, "closes").pid)

    assert told.endswith(
        (
            "closed the connection without an answer",
            "the connection ended before it was known whose",
        )
    )


async def test_probe_without_listener_reports_refusal(refused: Refused) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        reason = await refused(sock, leader=1)

    assert reason.endswith("connection refused")


async def test_check_that_no_local_port_is_left_for_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def short(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    monkeypatch.setattr(module, "ProbeTally", Impatient)
    monkeypatch.setattr(asyncio, "open_connection", short)
    with pytest.raises(StartFailed) as failure:
        await wait_healthy(("127.0.0.1", 1), PROBE, 1)

    assert failure.value.host


async def test_server_that_answers_the_first_bytes_is_told_apart(
    listener: socket.socket, serve: Serve
) -> None:
    """It does not wait for the end of the request, which others are kept from."""
    await wait_healthy(address(listener), PROBE, serve(OK, "hasty").pid)


async def test_server_woken_by_data_only_is_reached(
    listener: socket.socket, serve: Serve
) -> None:
    """TCP_DEFER_ACCEPT: until something is sent there is nothing to accept."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    serve()

    await wait_healthy(address(listener), PROBE, serve().pid)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1"])
async def test_wildcard_is_asked_on_loopback(serve: Serve, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as sock:
        await wait_healthy(address(sock), PROBE, serve(sock=sock).pid)


async def test_where_nothing_is_told_any_answer_counts(
    listener: socket.socket, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accepted_inodes(connections: object) -> dict[object, int]:
        raise FileNotFoundError(2, "No such file or directory", "/proc/net/tcp")

    monkeypatch.setattr(module, "accepted_inodes", accepted_inodes)
    serve()

    await wait_healthy(address(listener), PROBE, leader=1)
