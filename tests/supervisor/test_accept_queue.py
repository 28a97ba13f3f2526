"""Decision whether anything accepts, from looks at the queue of a socket."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.supervisor.accept_queue import AcceptQueue, read_length, read_on

Look = tuple[float, int, str]

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def seen(*looks: Look) -> AcceptQueue:
    """The state after *looks*: time, length, and a letter for each connection."""
    queue = AcceptQueue()
    for now, length, waiting in looks:
        letters = frozenset(letter.encode() for letter in waiting)
        queue = queue.after(now, length, letters)
    return queue


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_same_connections_waiting_for_ten_seconds_are_stuck() -> None:
    queue = seen((0, 2, ""), *((now, 3, "abc") for now in range(2, 15, 2)))

    assert queue.stuck()
    assert "nothing accepts connections on port 80: 3 have waited for 12 s" == (
        queue.describe("80")
    )


def test_connections_waiting_for_less_than_ten_seconds_are_not_stuck() -> None:
    queue = seen(*((now, 1, "a") for now in range(0, 9, 2)))

    assert (True, False) == (queue.unmoved, queue.stuck())


def test_long_wait_between_two_looks_is_not_stuck() -> None:
    """A stopped host, or a loop that was busy, lets no program accept either."""
    assert not seen((0, 1, "a"), (60, 1, "a")).stuck()


def test_newcomers_do_not_hide_stuck_connections() -> None:
    queue = seen((0, 1, "a"), (5, 2, "ab"), (10, 3, "abc"), (12, 3, "abc"))

    assert queue.stuck()
    assert "1 has waited for 12 s" in queue.describe("80")


def test_growing_queue_whose_oldest_are_accepted_is_not_stuck() -> None:
    """An overloaded program: more come than it takes."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    looks = [(2.0 * n, 5 + n, letters[n : 2 * n + 5]) for n in range(10)]

    assert not seen(*looks).stuck()


def test_full_queue_whose_oldest_are_accepted_is_not_stuck() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"

    assert not seen(*((2.0 * n, 5, letters[n : n + 5]) for n in range(20))).stuck()


def test_shrunk_queue_starts_the_wait_again() -> None:
    looks = [(now, 2, "ab") for now in range(0, 13, 2)]

    assert not seen(*looks, (14, 1, "b"), (16, 1, "b"), (18, 1, "b")).stuck()


def test_clients_that_reset_do_not_hide_stuck_connections() -> None:
    """A reset connection keeps its place in the queue, but nobody waits any more."""
    checks = [
        (1.0 * n, 2 + n, "a" + letter) for n, letter in enumerate("bcdefghijklmn")
    ]

    assert seen(*checks).stuck()


def test_empty_queue_is_well() -> None:
    queue = seen(*((now, 1, "a") for now in range(0, 13, 2)), (14, 0, ""))

    assert AcceptQueue() == queue


def test_unknown_connections_are_no_verdict() -> None:
    assert not seen(*((now, 3, "") for now in range(0, 31, 2))).stuck()


@pytest.mark.parametrize(
    ("before", "now", "asks"), [(0, 1, False), (1, 1, True), (2, 1, False)]
)
def test_connections_are_looked_at_only_where_the_queue_did_not_shrink(
    before: int, now: int, asks: bool
) -> None:
    assert asks is AcceptQueue(before).asks(now)


@linux
def test_length_is_the_number_of_connections_to_accept(listener) -> None:
    assert 0 == read_length(listener)
    with socket.create_connection(listener.getsockname()):
        assert 1 == read_length(listener)
        listener.accept()[0].close()

    assert 0 == read_length(listener)


def test_length_of_unix_socket_is_unknown(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()

        assert read_length(listener) is None


@linux
async def test_real_accept_queue_is_stuck_until_accept(listener) -> None:
    queue = AcceptQueue()
    with socket.create_connection(listener.getsockname()):
        for now in range(0, 15, 2):
            queue = await read_on(queue, listener, float(now))
        assert queue.stuck()
        listener.accept()[0].close()
        queue = await read_on(queue, listener, 16.0)

    assert AcceptQueue() == queue
