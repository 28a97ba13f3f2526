"""The pace of polling (pure)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dewy.polling import next_poll


def test_hosts_started_together_drift_apart():
    assert (9, 11) == (next_poll(10, 0, 0, None, 0), next_poll(10, 0, 0, None, 1))


def test_the_first_failure_waits_no_longer():
    assert 10 == next_poll(10, 1, 600, None, 0.5)


def test_poll_delay_doubles_with_half_of_increase_random():
    assert (15, 20) == (next_poll(10, 2, 600, None, 0), next_poll(10, 2, 600, None, 1))


def test_retry_after_is_never_undercut():
    assert 60 <= next_poll(10, 0, 0, 60.0, 0)


@given(
    interval=st.floats(1, 3600),
    failures=st.integers(0, 10**6),
    longest=st.floats(0, 10**5),
    random=st.floats(0, 1),
)
def test_no_delay_is_longer_than_asked_for(interval, failures, longest, random):
    delay = next_poll(interval, failures, longest, None, random)

    assert 0 < delay <= max(interval * 1.1, longest)
