"""Rates out of counters."""

from __future__ import annotations

from dewy.admin.events import Rates, counters


def test_rates_are_of_the_window() -> None:
    rates = Rates(window=3.0)
    for second in range(4):
        rates.take(second, {"a": (10 * second, 100 * second, 0)})
    found = rates.take(4.0, {"a": (130, 400, 7)})

    # Three seconds ago it was 10, 100, 0.
    expected = {"connections_total": 40.0, "bytes_up": 100.0, "bytes_down": 2.3}
    assert {"a": expected} == found


def test_a_newcomer_moves_nothing_yet() -> None:
    """What it counted before anybody looked is not of this second."""
    rates = Rates()
    rates.take(0.0, {})

    assert 0.0 == rates.take(1.0, {"a": (5000, 1, 1)})["a"]["connections_total"]
    assert 2.0 == rates.take(2.0, {"a": (5002, 1, 1)})["a"]["connections_total"]


def test_counter_reset_yields_zero_rate() -> None:
    rates = Rates()
    rates.take(0.0, {"a": (5000, 9, 9)})

    assert {0.0} == {*rates.take(1.0, {"a": (3, 0, 0)})["a"].values()}


def test_rates_of_missing_counter_are_dropped() -> None:
    rates = Rates()
    rates.take(0.0, {"a": (1, 1, 1), "b": (1, 1, 1)})

    assert {"b"} == rates.take(1.0, {"b": (1, 1, 1)}).keys()


def test_rates_end_when_nothing_moves() -> None:
    rates = Rates(window=1.0)
    rates.take(0.0, {"a": (0, 0, 0)})
    rates.take(1.0, {"a": (9, 0, 0)})
    rates.take(2.0, {"a": (9, 0, 0)})

    assert 0.0 == rates.take(3.0, {"a": (9, 0, 0)})["a"]["connections_total"]


def test_replicas_of_which_nothing_is_counted_have_none() -> None:
    status = {"replicas": [{"id": "a", "connections_total": 1}], "ports": []}

    assert {"a": (1, 0, 0)} == counters(status)


def test_ports_have_rates_where_the_proxy_listens() -> None:
    counted = {"connections_total": 3, "bytes_up": 4, "bytes_down": 5}
    ports = [{"address": "[::]:80", **counted}, {"address": "0.0.0.0:90"}]

    assert {"[::]:80": (3, 4, 5)} == counters({"replicas": [], "ports": ports})
