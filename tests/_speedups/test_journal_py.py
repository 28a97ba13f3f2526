"""The journal of the twin."""

from __future__ import annotations

import socket

from dewy._speedups.interface import Ended
from dewy._speedups.queues_py import Journal, peer


def entry(number: int) -> Ended:
    return Ended(number, 1, "", False, 0, 0, 0.0)


def test_journal_signals_reader_and_counts_entries_beyond_limit() -> None:
    rings: list[int] = []
    journal = Journal(2, lambda: rings.append(1))
    for number in range(5):
        journal.enter(entry(number))

    assert rings
    assert ([entry(0), entry(1)], 3) == journal.take()
    assert ([], 0) == journal.take()


def test_peers_are_shown_as_far_as_there_are_any() -> None:
    """A Unix socket's has no address, and one that is gone has none any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, (host, port) = listener.accept()
        with client, server:
            assert f"{host}:{port}" == peer(server)
    one, other = socket.socketpair()
    with one, other:
        assert "" == peer(one)
    assert "" == peer(one)
