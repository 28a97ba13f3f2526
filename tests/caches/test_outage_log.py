"""Of a cache that fails one line is said, and one when it is well again."""

from __future__ import annotations

import logging

import pytest

from dewy.caches.outage_log import OutageLog
from dewy.errors import RemoteError


def test_it_is_told_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
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
