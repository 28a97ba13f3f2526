"""A program's output: passed on unchanged, its last lines kept, nobody held up."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from dewy.supervisor.output import LINES, Output
from tests.eventually import soon

DEADLINE = 20.0


class Sinks:
    """Two pipes in place of dewy's standard output and standard error."""

    def __init__(self) -> None:
        self.out, self.stdout = os.pipe()
        self.err, self.stderr = os.pipe()

    def close(self, *descriptors: int) -> None:
        for fd in descriptors or (self.out, self.stdout, self.err, self.stderr):
            try:
                os.close(fd)
            except OSError:
                assert not descriptors


@pytest.fixture
def sinks() -> Iterator[Sinks]:
    sinks = Sinks()
    yield sinks
    sinks.close()


@pytest.fixture
def output(sinks: Sinks) -> Iterator[Output]:
    output = Output(sinks.stdout, sinks.stderr)
    yield output
    output.close()
    soon(lambda: ended(output))


def ended(output: Output) -> bool:
    return repr(output) == "<Output ended>"


def shell(output: Output, script: str) -> subprocess.Popen[bytes]:
    """A program with its output captured."""
    stdout, stderr = output.child_fds
    process = subprocess.Popen(["sh", "-c", script], stdout=stdout, stderr=stderr)
    output.close_child_fds()
    return process


def read(fd: int, size: int) -> bytes:
    """Exactly *size* bytes."""
    data = b""
    while len(data) < size:
        data += os.read(fd, size - len(data))
    return data


def fill(fd: int) -> int:
    """Write to a pipe until it takes no more; return how much that was."""
    os.set_blocking(fd, False)
    written = 0
    try:
        while True:
            written += os.write(fd, b"-" * 4096)
    except BlockingIOError:
        os.set_blocking(fd, True)
        return written


def test_each_stream_is_passed_on_to_its_own(output: Output, sinks: Sinks) -> None:
    shell(output, "echo out; echo err >&2").wait()

    assert b"out\n" == read(sinks.out, 4)
    assert b"err\n" == read(sinks.err, 4)


def test_bytes_are_passed_on_unchanged(output: Output, sinks: Sinks) -> None:
    """No matter how many, whether text, and where lines end."""
    data = bytes(range(256)) * 2000 + b"x" * 100_000 + b"\r\n\0"
    writer = threading.Thread(target=os.write, args=(output.child_fds[0], data))
    writer.start()

    assert data == read(sinks.out, len(data))
    writer.join()


def test_incomplete_line_is_passed_on_immediately(output: Output, sinks: Sinks) -> None:
    os.write(output.child_fds[0], b"progress 10 %")

    assert b"progress 10 %" == read(sinks.out, 13)
    assert ("progress 10 %",) == output.tail()


def test_last_lines_of_a_crash_are_there(output: Output) -> None:
    """Also the one it did not get to end."""
    process = shell(output, "echo starting; printf 'fatal: no disk' >&2; kill -9 $$")
    process.wait()
    output.flush(DEADLINE)

    assert ("starting", "fatal: no disk") == output.tail()
    assert ("fatal: no disk",) == output.tail(1)
    assert () == output.tail(0)


def test_last_lines_of_a_flood_are_there(output: Output, sinks: Sinks) -> None:
    count = len(b"".join(b"%d\n" % n for n in range(1, 50_001)))
    process = shell(output, "seq 50000")
    passed_on = read(sinks.out, count)
    process.wait()
    output.flush(DEADLINE)

    expected = [str(n) for n in range(50_001 - LINES, 50_001)]
    assert expected == list(output.tail())
    assert expected == passed_on.decode().split()[-LINES:]


def test_ends_by_itself_with_the_program(output: Output) -> None:
    shell(output, "echo done").wait()

    soon(lambda: ended(output))
    assert ("done",) == output.tail()
    output.flush()


def test_leftover_process_is_passed_on_too(output: Output, sinks: Sinks) -> None:
    """It holds the pipes after the program has ended, until it ends itself."""
    ready, go = os.pipe()
    stdout, stderr = output.child_fds
    script = f"(read line </dev/fd/{ready}; echo late) & echo early"
    subprocess.run(["sh", "-c", script], stdout=stdout, stderr=stderr, pass_fds=[ready])
    output.close_child_fds()
    output.flush(DEADLINE)
    assert ("early",) == output.tail()

    os.write(go, b"\n")
    assert b"early\nlate\n" == read(sinks.out, 11)
    soon(lambda: ended(output))
    sinks.close(ready, go)


def test_close_does_not_wait_for_active_writer(
    sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon left behind may never let go of the pipe, nor ever pause."""
    monkeypatch.setattr("dewy.supervisor.output.GRACE", 0.01)
    null = os.open(os.devnull, os.O_WRONLY)
    output = Output(null, null)
    process = shell(output, "exec yes")
    soon(lambda: bool(output.tail()))
    output.close()

    soon(lambda: ended(output))
    assert 0 != process.wait(DEADLINE)
    os.close(null)


def test_close_flushes_pending_output(output: Output, sinks: Sinks) -> None:
    os.write(output.child_fds[0], b"goodbye\n")
    output.close()
    output.close()

    assert b"goodbye\n" == read(sinks.out, 8)
    soon(lambda: ended(output))


def test_reader_that_is_gone_does_not_hold_up_the_program(
    output: Output, sinks: Sinks
) -> None:
    sinks.close(sinks.out)
    process = shell(output, "seq 100000; echo end")

    assert 0 == process.wait(DEADLINE)
    output.flush(DEADLINE)
    assert "end" == output.tail()[-1]


def test_reader_that_stalls_holds_the_program_up(output: Output, sinks: Sinks) -> None:
    """As if the program had inherited the descriptor; then nothing is missing."""
    filled = fill(sinks.stdout)
    process = shell(output, "seq 100000")
    soon(lambda: bool(output.tail()))
    output.flush(0.01)
    assert process.poll() is None

    expected = b"".join(b"%d\n" % n for n in range(1, 100_001))
    read(sinks.out, filled)
    assert expected == read(sinks.out, len(expected))
    assert 0 == process.wait(DEADLINE)


def test_stalled_output_does_not_hold_up_errors(output: Output, sinks: Sinks) -> None:
    filled = fill(sinks.stdout)
    os.write(output.child_fds[0], b"stuck\n")
    os.write(output.child_fds[1], b"heard\n")

    assert b"heard\n" == read(sinks.err, 6)
    assert b"stuck\n" == read(sinks.out, filled + 6)[filled:]


def test_stalled_reader_does_not_keep_close_from_ending(
    output: Output, sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dewy.supervisor.output.GRACE", 0.01)
    fill(sinks.stdout)
    process = shell(output, "exec yes")
    soon(lambda: bool(output.tail()))
    output.close()

    soon(lambda: ended(output))
    assert 0 != process.wait(DEADLINE)


def test_descriptor_that_does_not_block_loses_nothing(sinks: Sinks) -> None:
    """Whoever gave dewy its standard output may have set it so."""
    os.set_blocking(sinks.stdout, False)
    output = Output(sinks.stdout, sinks.stderr)
    process = shell(output, "seq 50000")
    expected = b"".join(b"%d\n" % n for n in range(1, 50_001))

    assert expected == read(sinks.out, len(expected))
    process.wait()
    soon(lambda: ended(output))


def test_full_disk_does_not_hold_up_the_program() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    output = Output(full, full)
    process = shell(output, "seq 100000")

    assert 0 == process.wait(DEADLINE)
    soon(lambda: ended(output))
    assert "100000" == output.tail()[-1]
    os.close(full)


def test_closed_standard_output_is_no_error() -> None:
    """A daemon may have been started without one."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    output = Output(writing, writing)
    shell(output, "echo unheard").wait()

    soon(lambda: ended(output))
    assert ("unheard",) == output.tail()


def test_both_may_go_to_the_same_place(sinks: Sinks) -> None:
    output = Output(sinks.stdout, sinks.stdout)
    shell(output, "echo a; echo b >&2").wait()

    assert {b"a", b"b"} == set(read(sinks.out, 4).split())
    soon(lambda: ended(output))


def test_no_descriptor_is_left_behind(sinks: Sinks) -> None:
    """Whether a program ran or never came to be."""
    before = set(os.listdir("/dev/fd"))
    used, unused = (Output(sinks.stdout, sinks.stderr) for _ in range(2))
    shell(used, "exit 0").wait()
    unused.close()
    soon(lambda: ended(used) and ended(unused))

    assert before == set(os.listdir("/dev/fd"))


def test_pipe_descriptors_are_not_inherited(sinks: Sinks) -> None:
    """An end in the wrong hands would keep the pipe from ending."""
    before = set(os.listdir("/dev/fd"))
    output = Output(sinks.stdout, sinks.stderr)
    opened = {int(fd) for fd in set(os.listdir("/dev/fd")) - before}

    assert opened >= set(output.child_fds)
    for fd in opened:
        with suppress(OSError):  # listing the directory opened one as well
            assert not os.get_inheritable(fd)
    output.close()
    soon(lambda: ended(output))
