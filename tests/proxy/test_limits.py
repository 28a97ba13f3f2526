"""What the descriptor limit allows."""

from __future__ import annotations

import resource

import pytest

from dewy.proxy.proxy import caution, most_connections


@pytest.mark.parametrize(
    ("soft", "threads", "expected"), [(20000, 1, 9836), (20000, 4, 9644), (100, 0, 1)]
)
def test_two_descriptors_each(
    monkeypatch: pytest.MonkeyPatch, soft: int, threads: int, expected: int
) -> None:
    """Beside what the rest needs; a small limit is no reason to refuse everybody."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert expected == most_connections(threads)


@pytest.mark.parametrize(
    ("asked", "hard", "told"),
    [
        (0, 20000, ""),
        (0, -1, ""),
        (0, 1024, "the limit of 1024 descriptors bounds open connections to 348"),
        (0, 100, "the limit of 100 descriptors bounds open connections to 1"),
        (1000, 20000, ""),
        (1000, -1, ""),
        (10000, 20000, "--max-connections 10000 needs 20328 descriptors"),
    ],
)
def test_limit_above_that_of_descriptors_is_told(
    monkeypatch: pytest.MonkeyPatch, asked: int, hard: int, told: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, hard))
    assert caution(asked, 1).startswith(told)
    assert bool(told) == bool(caution(asked, 1))
