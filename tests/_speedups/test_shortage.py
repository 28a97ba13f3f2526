"""Without a descriptor left towards its backend, a client waits for one."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from dewy._speedups.interface import SUSPECT, UNANSWERED
from tests.standins.plane import Origin, Start, answers


@contextmanager
def _exhausted(spare: int) -> Iterator[None]:
    """Leave *spare* descriptors to this process while the block lasts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [socket.socket() for _ in range(spare)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1].fileno() + 1, before[1]))
    fillers = []
    with suppress(OSError):
        while True:
            fillers.append(socket.socket())
    for each in held:
        each.close()
    try:
        yield
    finally:
        for each in fillers:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_backend_is_not_blamed_for_want_of_descriptors(
    started: Start, origin: Origin
) -> None:
    """The client is reset after its time, and whoever is told learns what lacked."""
    plane = started(connect_budget=0.3)
    gate = plane.listen(origin)
    # One for the client here, and one for where the relay accepts it.
    with _exhausted(2), gate.connect() as client:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert plane.told(UNANSWERED, gate.number)
    assert (UNANSWERED, gate.number, errno.EMFILE) in plane.events
    assert SUSPECT not in [kind for kind, _, _ in plane.events]
    assert (0, 0, 0) == (gate.of().total, gate.of().failures, gate.of().broken)
    assert 0 == gate.stats().errors.refused
    with gate.connect() as client:
        client.sendall(b"?")
        answers(origin, client)
