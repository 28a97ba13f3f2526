"""A dead backend is not found alive by connecting to the connection itself."""

from __future__ import annotations

import socket

import pytest

from dewy._speedups.interface import Errors
from tests.needs import needs
from tests.standins.namespace import in_namespace
from tests.standins.plane import Gate, Start

pytestmark = needs("namespaces")

DEAD = 4242


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_self_connection_to_dead_backend_counts_as_refused(
    started: Start, host: str
) -> None:
    """The kernel has but one port to connect from: the one that is called."""

    def ask() -> Errors:
        plane = started()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, DEAD + 1), family=family) as listener:
            number = plane.open_port(listener)
            gate = Gate(plane, number, listener.getsockname(), [])
            address = (host, DEAD) if family == socket.AF_INET else (host, DEAD, 0, 0)
            gate.backends = [plane.add_backend(number, family, address)]
            assert gate.turns_away()
            assert gate.of().failures == 1
            errors = gate.stats().errors
            return errors

    errors = in_namespace(ask, port=DEAD)

    assert (1, 1) == (errors.refused, errors.unanswered)
