"""What is refused, and why."""

from __future__ import annotations

import pytest

from dewy.containers.options.run_options import REFUSED, REFUSED_SHORTS, unfit


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_reason_is_single_clause(name: str) -> None:
    """It follows `cannot be used:`."""
    assert REFUSED[name]
    assert not REFUSED[name].endswith(".")


def test_letters_lead_to_a_reason() -> None:
    """Each to the reason of its long form."""
    assert set(REFUSED_SHORTS.values()) <= REFUSED.keys()


@pytest.mark.parametrize(
    "network",
    ["host", "HOST", "none", "container:db", "ns:/proc/1/ns/net", "private"],
)
def test_network_not_shared_by_replicas_is_refused(network: str) -> None:
    """And the proxy must reach them in it."""
    assert unfit(network)


@pytest.mark.parametrize(
    "network", ["shop", "hosts", "container-net", "bridge", "default"]
)
def test_named_network_is_fit(network: str) -> None:
    """Whatever it is called."""
    assert unfit(network) is None
