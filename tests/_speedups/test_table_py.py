"""Choosing a backend."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from dewy._speedups.port_py import BALANCES, Backend, Table, check_balance


def backends(count: int) -> list[Backend]:
    return [
        Backend(number, 1, socket.AF_INET, ("127.0.0.1", number))
        for number in range(count)
    ]


def picks(table: Table, count: int) -> list[int]:
    """The numbers of the next *count* backends."""
    found = [table.pick([]) for _ in range(count)]
    return [backend.number for backend in found if backend]


@pytest.fixture
def table() -> Table:
    return Table("round-robin")


def test_turns_go_round(table: Table) -> None:
    """From the first on."""
    table.swap(backends(3))
    assert [0, 1, 2, 0] == picks(table, 4)


def test_empty_table_has_nothing(table: Table) -> None:
    """And is false."""
    assert table.pick([]) is None
    assert not table


@pytest.mark.parametrize("balance", BALANCES)
def test_backends_tried_are_not_tried_again(balance: str) -> None:
    """Each is picked once, until none is left."""
    table, several = Table(balance), backends(3)
    table.swap(several)
    tried: list[Backend] = []
    while backend := table.pick(tried):
        tried.append(backend)
    assert 3 == len(tried)
    assert set(several) == set(tried)


@pytest.mark.parametrize("balance", BALANCES)
def test_retry_picks_less_busy_of_two_untried(balance: str) -> None:
    """With two left, always the less busy; with more, never the busiest."""
    table, several = Table(balance), backends(4)
    for backend in several:
        backend.pairs = set(range(backend.number))  # type: ignore[arg-type]
    table.swap(several)
    assert {1} == {pick.number for _ in range(50) if (pick := table.pick(several[::2]))}
    assert 3 not in {p.number for _ in range(50) if (p := table.pick(several[:1]))}


def test_retry_does_not_advance_round_robin(table: Table) -> None:
    """Else beside one dead backend another would always be the second choice."""
    several = backends(3)
    table.swap(several)
    assert [0] == picks(table, 1)
    table.pick(several[:1])
    assert [1, 2] == picks(table, 2)


def test_swap_returns_removed_backends(table: Table) -> None:
    """Those named serve from then on."""
    first, second = backends(2)
    table.add(first)
    assert [first] == table.swap([second])
    assert [1, 1] == picks(table, 2)


def test_ejected_are_used_when_nothing_else_is_left(table: Table) -> None:
    """Losing the last good one is a panic, counted once."""
    first, second = backends(2)
    table.swap([first, second])
    table.eject(first)
    assert [1, 1] == picks(table, 2)
    assert 0 == table.panics
    table.eject(second)
    table.eject(second)
    assert {0, 1} == set(picks(table, 2))
    assert 1 == table.panics
    table.restore(first)
    assert [0, 0] == picks(table, 2)


def test_sole_backend_stays(table: Table) -> None:
    """Whatever a probe says."""
    only, other = backends(2)
    table.add(only)
    table.eject(only)
    table.add(other)
    assert [0, 1] == picks(table, 2)


def test_less_busy_of_two_is_taken() -> None:
    """The busiest is never the less busy of two different ones."""
    table = Table("least-connections")
    several = backends(4)
    several[0].pairs = set(range(10))  # type: ignore[arg-type]
    table.swap(several)
    shares = Counter(picks(table, 4000))
    assert 0 == shares[0]
    assert {1, 2, 3} == set(shares)


def test_unknown_balance_raises_error_with_valid_values() -> None:
    """The error names them."""
    assert "round-robin" == check_balance("round-robin")
    with pytest.raises(ValueError, match="round-robin or least-connections"):
        check_balance("fair")
