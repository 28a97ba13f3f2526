"""What is there and broken is told, and not at each look."""

from __future__ import annotations

import logging

import pytest

from dewy.logs import Trouble, warn_once

log = logging.getLogger(__name__)
BROKEN = Trouble("Logins not read", "it does not hold logins", "/root/.netrc")
OTHER = Trouble("Credential helper failed", "it ended with exit status 1")


async def test_ongoing_problem_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        warn_once(log, "a.io", [BROKEN, OTHER, BROKEN])

    assert [BROKEN.event, OTHER.event] == caplog.messages
    assert [BROKEN.error, OTHER.error] == [each.error for each in caplog.records]
    assert BROKEN.file == caplog.records[0].file
    assert not hasattr(caplog.records[1], "file")


async def test_trouble_that_comes_back_is_told_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for found in ([OTHER], [], [OTHER]):
        warn_once(log, "a.io", found)

    assert 2 == len(caplog.messages)


async def test_each_subject_has_troubles_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_once(log, "a.io", [OTHER])
    warn_once(log, "b.io", [OTHER])

    assert 2 == len(caplog.messages)


async def test_trouble_without_an_event_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_once(log, "a.io", [Trouble("", "not on PATH")])

    assert [] == caplog.messages
