"""The network namespace that the comparisons are made in."""

from __future__ import annotations

import subprocess
import sys

from benchmarks import network
from tests.needs import needs

# In a process of its own: a namespace belongs to a thread, and tests have others.
SUMMARIES = """
from benchmarks import network

with network.isolated():
    print(network.summary())
    with network.pinned("reno"):
        print(network.summary())
    print(network.summary())
    with network.host():
        print(network.available("reno"))
"""


@needs("namespaces")
def test_isolated_network_pins_mtu_and_congestion_control() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SUMMARIES],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    ours = "a network namespace of its own, {}, MTU 1500, without conntrack"

    assert [
        ours.format("cubic"),
        ours.format("reno"),
        ours.format("cubic"),
        "False",
    ] == done.stdout.splitlines()


def test_host_congestion_control_is_never_pinned() -> None:
    assert not network.available("reno")
