"""Of a cache that fails one line is said, and one when it is well again."""

from __future__ import annotations

import logging

import pytest

from dewy.caches.outages import OutageLog
from dewy.errors import RateLimited, RemoteError


def test_outage_and_recovery_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever else fails meanwhile; the rest is for those who look for it."""
    caplog.set_level(logging.INFO)
    outage = OutageLog()
    outage.over()
    outage.noticed(RemoteError("down"))
    outage.noticed(OSError(28, "No space left on device"))
    outage.over()
    outage.over()
    outage.noticed(RemoteError("down again"))

    assert [
        ("Went on without the cache", "down"),
        ("Cache works again", None),
        ("Went on without the cache", "down again"),
    ] == [(r.getMessage(), getattr(r, "reason", None)) for r in caplog.records]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]
    caplog.clear()
    return messages


def test_every_outage_is_told_where_a_host_only_reads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The second one as the first, though nothing is ever written."""
    caplog.set_level(logging.DEBUG)
    outage = OutageLog()
    for _ in range(2):
        outage.noticed(RemoteError("down"), reading=True)
        outage.noticed(RemoteError("down"))
        outage.noticed(RemoteError("down"), reading=True)
        assert ["Went on without the cache"] == told(caplog)
        outage.over(reading=True)
        outage.over(reading=True)
        assert ["Cache works again"] == told(caplog)


def test_outage_of_full_cache_ends_only_with_successful_write(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It reads well all the time."""
    caplog.set_level(logging.DEBUG)
    outage = OutageLog()
    for _ in range(2):
        outage.noticed(OSError(28, "No space left on device"))
        outage.over(reading=True)
    assert ["Went on without the cache"] == told(caplog)
    outage.over()

    assert ["Cache works again"] == told(caplog)


def test_write_that_has_to_wait_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    outage = OutageLog()
    outage.noticed(RateLimited("one write per second"))
    outage.over()

    assert [] == told(caplog)


def test_outage_is_told_once_whatever_is_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A host that asks whether it holds something learns nothing from a no."""
    caplog.set_level(logging.DEBUG)
    outage = OutageLog()
    outage.noticed(RemoteError("down"))
    outage.noticed(RemoteError("down"), reading=True)

    assert ["Went on without the cache"] == told(caplog)


def test_outage_of_a_full_cache_is_told_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    outage = OutageLog()
    outage.noticed(OSError(28, "No space left on device"))
    outage.over(reading=True)
    outage.noticed(OSError(28, "No space left on device"))
    outage.noticed(RemoteError("down"), reading=True)

    assert ["Went on without the cache"] * 2 == told(caplog)
