"""What the pure twin asks of the event loop, and what it must notice without it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from dewy._speedups.endpoint_py import PeerSocket, ResetPoller
from tests.eventually import turns
from tests.standins.plane import listening, reset

Pair = tuple[PeerSocket, socket.socket]


@pytest.fixture
def broken() -> asyncio.Event:
    """Set when the side says that it is."""
    return asyncio.Event()


@pytest.fixture
async def lookout() -> AsyncIterator[ResetPoller]:
    lookout = ResetPoller(asyncio.get_running_loop())
    yield lookout
    lookout.close()


@contextmanager
def paired(lookout: ResetPoller, broken: asyncio.Event) -> Iterator[Pair]:
    """A side, and its peer."""
    with listening() as listener:
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    sock.setblocking(False)
    side = PeerSocket(sock, lookout, broken.set)
    yield side, peer
    side.close(resetting=False)
    peer.close()


@pytest.fixture
async def pair(lookout: ResetPoller, broken: asyncio.Event) -> AsyncIterator[Pair]:
    with paired(lookout, broken) as made:
        yield made


async def test_reset_is_noticed_though_nothing_is_wanted(
    pair: Pair, broken: asyncio.Event
) -> None:
    """Neither bytes nor room: its backend is not connected yet, for one."""
    side, peer = pair
    reset(peer)
    await asyncio.wait_for(broken.wait(), 30)
    assert side.failed


async def test_reset_after_the_end_of_the_stream_is_noticed(
    pair: Pair, broken: asyncio.Event
) -> None:
    """Reading would tell of the end again and again."""
    side, peer = pair
    ended = asyncio.Event()
    side.reading(True, ended.set)
    peer.shutdown(socket.SHUT_WR)
    await asyncio.wait_for(ended.wait(), 30)
    side.reading(False, ended.set)
    assert 0 == side.recv_into(bytearray(1))
    reset(peer)
    await asyncio.wait_for(broken.wait(), 30)


async def test_end_of_stream_is_no_break(
    pair: Pair, lookout: ResetPoller, broken: asyncio.Event
) -> None:
    """A half-closed client waits for its answer."""
    side, peer = pair
    peer.shutdown(socket.SHUT_WR)
    for _ in range(2):
        seen = asyncio.Event()
        with paired(lookout, seen) as (_, other):
            reset(other)
            await asyncio.wait_for(seen.wait(), 30)
    assert not broken.is_set()
    assert not side.failed


async def test_reset_after_end_of_stream_is_failed_but_not_lost(
    pair: Pair, broken: asyncio.Event
) -> None:
    """Whether a call meets it or it is seen without one."""
    side, peer = pair
    peer.shutdown(socket.SHUT_WR)
    reset(peer)
    await asyncio.wait_for(broken.wait(), 30)
    assert side.failed
    assert not side.lost
    assert 0 == side.send(memoryview(b"too late"))
    assert not side.lost


@pytest.mark.parametrize("ended", [True, False])
async def test_end_that_comes_too_late_spoils_none(pair: Pair, ended: bool) -> None:
    """A socket that was reset takes no end any more, however it was reset."""
    side, peer = pair
    if ended:
        peer.shutdown(socket.SHUT_WR)
    reset(peer)
    side.finish()
    assert side.failed
    assert side.lost is not ended


async def test_bytes_that_wait_in_the_kernel_are_known(pair: Pair) -> None:
    """A window that is closed keeps them here."""
    side, _peer = pair
    assert not side.unsent
    while side.send(memoryview(bytes(100_000))):
        pass
    assert side.unsent


async def test_endpoint_with_reading_disabled_gets_no_read_event(pair: Pair) -> None:
    """The loop would tell of it without end."""
    side, peer = pair
    told = asyncio.Event()
    side.reading(True, told.set)
    peer.sendall(b"!")
    await asyncio.wait_for(told.wait(), 30)
    side.reading(False, told.set)
    told.clear()
    await turns()
    assert not told.is_set()


async def test_reset_callback_may_close_another_reset_endpoint() -> None:
    """Both were seen to be broken at the same glance."""
    lookout = ResetPoller(asyncio.get_running_loop())
    done = asyncio.Event()
    sides: list[PeerSocket] = []

    def end() -> None:
        for side in sides:
            side.close(resetting=True)
        done.set()

    with listening() as listener:
        for _ in range(2):
            peer = socket.create_connection(listener.getsockname())
            sides.append(PeerSocket(listener.accept()[0], lookout, end))
            reset(peer)
    await asyncio.wait_for(done.wait(), 30)
    assert [-1, -1] == [side.sock.fileno() for side in sides]
    lookout.close()
