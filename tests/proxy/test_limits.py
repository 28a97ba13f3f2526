"""What the descriptor limit allows."""

from __future__ import annotations

import resource

import pytest

from dewy.proxy.limits import most_connections


@pytest.mark.parametrize(
    ("soft", "threads", "expected"), [(20000, 1, 9836), (20000, 4, 9644), (100, 0, 1)]
)
def test_two_descriptors_each(
    monkeypatch: pytest.MonkeyPatch, soft: int, threads: int, expected: int
) -> None:
    """Beside what the rest needs; a small limit is no reason to refuse everybody."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert expected == most_connections(threads)
