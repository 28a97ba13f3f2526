"""What the twins count and say has one shape."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dewy._speedups import interface
from dewy._speedups.interface import CONNECT_BOUNDS, DURATION_BOUNDS, RelayProtocol
from tests._speedups.conftest import relay_of


@pytest.mark.parametrize("bounds", [CONNECT_BOUNDS, DURATION_BOUNDS])
def test_buckets_rise(bounds: tuple[float, ...]) -> None:
    """Else a value would have two buckets, or none."""
    assert all(low < high for low, high in pairwise(bounds))


def test_kinds_of_event_are_told_apart() -> None:
    kinds = [value for name, value in vars(interface).items() if name.isupper()]
    numbers = [value for value in kinds if isinstance(value, int)]
    assert 8 == len(set(numbers)) == len(numbers)


def test_twins_define_each_method_of_the_protocol(twin: str) -> None:
    """Inherited, it would have no body."""
    relay, _ = relay_of(twin)
    promised = {name for name in vars(RelayProtocol) if not name.startswith("_")}

    assert promised <= vars(relay).keys()
