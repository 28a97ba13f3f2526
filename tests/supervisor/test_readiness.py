"""What programs say on NOTIFY_SOCKET, and who is believed."""

from __future__ import annotations

import array
import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.loop import loop_factory
from dewy.supervisor.processes import members, users
from dewy.supervisor.readiness import LONGEST, ReadinessSocket, parse
from dewy.threads import DaemonThreads
from tests.needs import needs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")

NOBODY = 65534
SEND = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.sendto(sys.argv[1].encode(), "\\0" + os.environ["NOTIFY_SOCKET"][1:])
"""


def ours(pid: int) -> bool:
    return pid == os.getpid()


def nobody(pid: int) -> bool:
    return False


@pytest.fixture
async def notify() -> AsyncIterator[ReadinessSocket]:
    """A socket that believes this process."""
    notify = ReadinessSocket(ours)
    yield notify
    notify.close()


def send(notify: ReadinessSocket, message: bytes, fds: Sequence[int] = ()) -> None:
    """Send *message* from this process."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = "\0" + notify.address[1:]
        sock.sendmsg([message], [rights] if fds else [], 0, address)


async def seen(notify: ReadinessSocket) -> None:
    """Return when all that was sent has been dealt with, as BARRIER=1 promises."""
    reading, writing = os.pipe()
    await asyncio.to_thread(send, notify, b"BARRIER=1", [writing])
    os.close(writing)
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()
    loop.add_reader(reading, closed.set)
    async with asyncio.timeout(20):
        await closed.wait()
    loop.remove_reader(reading)
    os.close(reading)


def command(
    notify: ReadinessSocket, *arguments: str, **options: Any
) -> subprocess.Popen[bytes]:
    """A program that leads a session, as a generation does."""
    env = os.environ | {"NOTIFY_SOCKET": notify.address}
    return subprocess.Popen(arguments, env=env, start_new_session=True, **options)


def finished(notify: ReadinessSocket, *arguments: str, user: int | None = None) -> None:
    """Run a program to its end before the loop gets to read what it sent."""
    env = os.environ | {"NOTIFY_SOCKET": notify.address}
    subprocess.run(arguments, env=env, check=True, timeout=20, user=user)


async def ready_within(notify: ReadinessSocket, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        await notify.ready.wait()


async def test_ready_is_heard(notify: ReadinessSocket) -> None:
    assert not notify.ready.is_set()
    send(notify, b"READY=1\nSTATUS=serving")

    await ready_within(notify)
    assert "serving" == notify.status


async def test_ready_said_while_no_thread_is_left_is_heard(
    notify: ReadinessSocket,
) -> None:
    """The program counted as one that never said so, and as bad."""

    class Full(DaemonThreads):
        left = 2

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left >= 0:
                raise RuntimeError("can't start new thread")
            return super().submit(*args, **kwargs)

    asyncio.get_running_loop().set_default_executor(Full())
    send(notify, b"READY=1")

    await ready_within(notify)
    await seen(notify)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, loop_factory()])
def test_both_loops_hear(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        notify = ReadinessSocket(ours)
        for message in (b"STATUS=a", b"STATUS=b", b"STOPPING=1", b"READY=1"):
            send(notify, message)
        await ready_within(notify)
        assert ("b", True) == (notify.status, notify.stopping)
        notify.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@needs("systemd-notify")
async def test_systemd_notify_is_heard_from_a_child() -> None:
    """The shell is the generation, `systemd-notify` a child of it that ends at once."""
    shell: list[int] = []
    notify = ReadinessSocket(lambda pid: pid in members(shell[0]))
    script = "systemd-notify --ready --status='up and running'; exec sleep 60"
    process = command(notify, "sh", "-c", script)
    shell.append(process.pid)
    try:
        await ready_within(notify)
        assert "up and running" == notify.status
    finally:
        process.kill()
        process.wait()
        notify.close()


@needs("systemd-notify")
async def test_barrier_lets_systemd_notify_end() -> None:
    """It waits until the descriptor it sends is closed here."""
    notify = ReadinessSocket(lambda pid: True)
    process = command(notify, "systemd-notify", "--ready")

    assert 0 == await asyncio.to_thread(process.wait, 20)
    assert notify.ready.is_set()
    notify.close()


def living_stranger(notify: ReadinessSocket, message: str) -> subprocess.Popen[bytes]:
    """A process that has sent *message* and lives until `communicate`."""
    script = f"{SEND}\nprint(flush=True)\nsys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    stranger = command(notify, sys.executable, "-c", script, message, **pipes)
    assert stranger.stdout
    assert stranger.stdout.readline()
    return stranger


async def test_stranger_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """A living process outside the generation cannot make it look ready."""
    caplog.set_level(logging.DEBUG)
    notify = ReadinessSocket(ours)
    stranger = living_stranger(notify, "READY=1\nSTATUS=mine")
    await seen(notify)
    stranger.communicate()

    assert (False, "") == (notify.ready.is_set(), notify.status)
    assert "Notification ignored" in caplog.messages
    notify.close()


async def test_flood_of_strangers_is_asked_about_rarely_and_hides_nothing() -> None:
    """Every user of the host may send; each question reads files."""
    questions = 0

    def ours_but_not(pid: int) -> bool:
        nonlocal questions
        questions += 1
        return pid == os.getpid()

    notify = ReadinessSocket(ours_but_not)
    flood = (
        "import os, socket, sys\n"
        "sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "to = '\\0' + os.environ['NOTIFY_SOCKET'][1:]\n"
        "sent = 0\n"
        "while sent < 2000:\n"
        "    sock.sendto(b'STATUS=strange', to); sent += 1\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    environ = {**os.environ, "NOTIFY_SOCKET": notify.address}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", flood),
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    await asyncio.to_thread(send, notify, b"READY=1")
    await ready_within(notify)
    await process.stdout.readline()
    await seen(notify)
    await process.communicate(b"\n")
    notify.close()

    assert "" == notify.status
    # 16 at a time, and one more each for what came in smaller numbers.
    assert questions < 1000


async def test_ready_from_exited_process_of_own_user_is_accepted() -> None:
    """Ours could do worse than say READY=1."""
    notify = ReadinessSocket(nobody)
    finished(notify, sys.executable, "-c", SEND, "READY=1")

    await ready_within(notify)
    notify.close()


@as_root
@needs("systemd-notify")
async def test_ready_from_exited_process_of_other_user_is_ignored() -> None:
    """Abstract names are listed for everybody, so sending to one proves nothing."""
    notify = ReadinessSocket(ours)
    finished(notify, "systemd-notify", "--no-block", "--ready", user=NOBODY)
    await seen(notify)

    assert not notify.ready.is_set()
    notify.close()


@as_root
@needs("systemd-notify")
async def test_ready_from_exited_process_of_generation_user_is_accepted() -> None:
    """The generation gave up its privileges; what it runs to notify did too."""
    notify = ReadinessSocket(nobody, lambda: users([child.pid]))
    child = command(notify, "sleep", "60", user=NOBODY)
    finished(notify, "systemd-notify", "--no-block", "--ready", user=NOBODY)

    await ready_within(notify)
    child.kill()
    child.wait()
    notify.close()


async def test_stopping_and_signs_of_life_are_noted(notify: ReadinessSocket) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    send(notify, b"STOPPING=1\nWATCHDOG=1")
    await seen(notify)

    assert notify.stopping
    assert before <= notify.watchdog <= loop.time()


async def test_timeout_extension_starts_at_request(
    notify: ReadinessSocket,
) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    send(notify, b"EXTEND_TIMEOUT_USEC=2500000")
    await seen(notify)

    assert before + 2.5 <= notify.extended_until <= loop.time() + 2.5


@pytest.mark.parametrize("amount", ["", "-5", "soon", "1e9", "0", "٣"])
async def test_nonsense_extends_nothing(notify: ReadinessSocket, amount: str) -> None:
    send(notify, f"EXTEND_TIMEOUT_USEC={amount}".encode())
    await seen(notify)

    assert notify.extended_until <= asyncio.get_running_loop().time()


async def test_extension_has_a_limit(notify: ReadinessSocket) -> None:
    send(notify, b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000)
    await seen(notify)

    assert notify.extended_until <= asyncio.get_running_loop().time() + 86400


@pytest.mark.parametrize(
    "message",
    [b"", b"\n\n", b"READY", b"READY=0", b"=1", b"\xff\xfe=\x00", b"ready=1"],
)
async def test_garbage_changes_nothing(notify: ReadinessSocket, message: bytes) -> None:
    send(notify, message)
    await seen(notify)

    state = notify.ready.is_set(), notify.stopping, notify.status
    assert (False, False, "") == state


async def test_oversized_message_is_not_read_in_part(notify: ReadinessSocket) -> None:
    send(notify, b"READY=1\nSTATUS=" + b"x" * LONGEST)
    await seen(notify)
    assert not notify.ready.is_set()

    status = b"STATUS=" + b"x" * (LONGEST - len(b"STATUS="))
    send(notify, status)
    await seen(notify)
    assert LONGEST - len("STATUS=") == len(notify.status)


async def test_status_cannot_command_a_terminal(notify: ReadinessSocket) -> None:
    send(notify, "STATUS=grün\x1b[2J\x07".encode())
    await seen(notify)

    assert "grün\ufffd[2J\ufffd" == notify.status


async def test_descriptors_sent_along_are_closed(notify: ReadinessSocket) -> None:
    """Also those with a message that is too long, or more than one."""
    await seen(notify)
    before = set(os.listdir("/dev/fd"))
    for message in (b"FDSTORE=1", b"x" * 5000):
        send(notify, message, [0] * 3)
    await seen(notify)

    assert before == set(os.listdir("/dev/fd"))


async def test_close_is_final_and_repeatable(notify: ReadinessSocket) -> None:
    """Even with a message under way."""
    send(notify, b"READY=1")
    await asyncio.sleep(0)
    notify.close()
    notify.close()

    with pytest.raises(ConnectionRefusedError):
        send(notify, b"READY=1")


def test_last_of_a_name_counts() -> None:
    expected = {"READY": "1", "STATUS": "a=b", "X": ""}

    assert expected == parse(b"STATUS=x\nREADY=1\nnothing\nSTATUS=a=b\n=y\nX=\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed(datagram: bytes) -> None:
    for name, value in parse(datagram).items():
        assert name
        assert "\n" not in name + value
