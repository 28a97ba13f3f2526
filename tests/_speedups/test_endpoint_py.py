"""What the pure twin asks of the event loop, and what it must notice without it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from dewy._speedups.endpoint_py import Endpoint, ResetPoller
from tests.eventually import turns
from tests.standins.plane import listening, reset

Pair = tuple[Endpoint, socket.socket]


@pytest.fixture
def told() -> asyncio.Event:
    """Set when the endpoint tells of bytes or a reset."""
    return asyncio.Event()


@pytest.fixture
async def resets() -> AsyncIterator[ResetPoller]:
    resets = ResetPoller(asyncio.get_running_loop())
    yield resets
    resets.close()


@contextmanager
def paired(resets: ResetPoller, told: asyncio.Event) -> Iterator[Pair]:
    """An endpoint, and its peer."""
    with listening() as listener:
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    sock.setblocking(False)
    end = Endpoint(sock, resets, lambda *_: told.set())
    yield end, peer
    end.close(resetting=False)
    peer.close()


@pytest.fixture
async def pair(resets: ResetPoller, told: asyncio.Event) -> AsyncIterator[Pair]:
    with paired(resets, told) as made:
        yield made


async def test_reset_is_noticed_though_nothing_is_wanted(
    pair: Pair, told: asyncio.Event
) -> None:
    """Neither bytes nor room: its backend is not connected yet, for one."""
    end, peer = pair
    reset(peer)
    await asyncio.wait_for(told.wait(), 30)
    assert end.failed


async def test_reset_after_the_end_of_the_stream_is_noticed(
    pair: Pair, told: asyncio.Event
) -> None:
    """Reading would tell of the end again and again."""
    end, peer = pair
    end.wait(for_bytes=True)
    peer.shutdown(socket.SHUT_WR)
    await asyncio.wait_for(told.wait(), 30)
    end.wait()
    assert end.move(None, bytearray(1))
    assert end.ended
    assert not end.failed
    told.clear()
    reset(peer)
    await asyncio.wait_for(told.wait(), 30)
    assert end.failed


async def test_end_of_stream_is_no_break(
    pair: Pair, resets: ResetPoller, told: asyncio.Event
) -> None:
    """A half-closed client waits for its answer."""
    end, peer = pair
    peer.shutdown(socket.SHUT_WR)
    for _ in range(2):
        seen = asyncio.Event()
        with paired(resets, seen) as (_, other):
            reset(other)
            await asyncio.wait_for(seen.wait(), 30)
    assert not told.is_set()
    assert not end.failed


async def test_reset_after_end_of_stream_is_failed_but_not_lost(
    pair: Pair, told: asyncio.Event
) -> None:
    """Whether a call meets it or it is seen without one."""
    end, peer = pair
    peer.shutdown(socket.SHUT_WR)
    reset(peer)
    await asyncio.wait_for(told.wait(), 30)
    assert end.failed
    assert not end.lost
    assert 0 == end.send(memoryview(b"too late"))
    assert not end.lost


@pytest.mark.parametrize("ended", [True, False])
async def test_end_that_comes_too_late_spoils_none(pair: Pair, ended: bool) -> None:
    """A socket that was reset takes no end any more, however it was reset."""
    end, peer = pair
    if ended:
        peer.shutdown(socket.SHUT_WR)
    reset(peer)
    end.finish()
    assert end.failed
    assert end.lost is not ended


async def test_bytes_that_wait_in_the_kernel_are_known(pair: Pair) -> None:
    """A window that is closed keeps them here."""
    end, _peer = pair
    assert not end.unsent
    while end.send(memoryview(bytes(100_000))):
        pass
    assert end.unsent


async def test_endpoint_with_reading_disabled_gets_no_read_event(
    pair: Pair, told: asyncio.Event
) -> None:
    """The loop would tell of it without end."""
    end, peer = pair
    end.wait(for_bytes=True)
    peer.sendall(b"!")
    await asyncio.wait_for(told.wait(), 30)
    end.wait()
    told.clear()
    await turns()
    assert not told.is_set()


async def test_reset_callback_may_close_another_reset_endpoint() -> None:
    """Both were seen to be broken at the same glance."""
    resets = ResetPoller(asyncio.get_running_loop())
    done = asyncio.Event()
    ends: list[Endpoint] = []

    def close(*_: object) -> None:
        for end in ends:
            end.close(resetting=True)
        done.set()

    with listening() as listener:
        for _ in range(2):
            peer = socket.create_connection(listener.getsockname())
            ends.append(Endpoint(listener.accept()[0], resets, close))
            reset(peer)
    await asyncio.wait_for(done.wait(), 30)
    assert [-1, -1] == [end.sock.fileno() for end in ends]
    resets.close()
