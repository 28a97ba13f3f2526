"""What every notifier has to do, whatever its scheme."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.notifiers import Hook, Notice, NoticeKind
from tests.contracts.cases import LOCAL, NOTIFIER_CASES, NotifierCase


@pytest.fixture(params=NOTIFIER_CASES)
async def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[NotifierCase]:
    async with NOTIFIER_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(NOTIFIER_CASES.keys() - LOCAL))
async def remote(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[NotifierCase]:
    """A notifier whose target may fail."""
    async with NOTIFIER_CASES[request.param](tmp_path) as made:
        yield made


@pytest.mark.parametrize("kind", NoticeKind)
async def test_notice_of_every_kind_is_delivered(
    case: NotifierCase, kind: NoticeKind
) -> None:
    """Which to leave out is decided before a notifier is asked."""
    notice = Notice(kind, "deployed `v1.0.0`", (("host", "web-01"),))

    await case.notifier.send(notice)

    assert [notice.text] == [sent.text for sent in case.delivered()]


async def test_notices_are_delivered_in_order(case: NotifierCase) -> None:
    texts = ["first", "second", "third"]
    for text in texts:
        await case.notifier.send(Notice(NoticeKind.ORDINARY, text))

    assert texts == [notice.text for notice in case.delivered()]


async def test_result_of_a_hook_is_delivered(case: NotifierCase) -> None:
    """Whatever its output holds."""
    hook = Hook("Before Deploy", "make ready", False, 3, 1.5, "<&>```", "Fähler")

    await case.notifier.send(
        Notice(NoticeKind.HOOK, "Before Deploy hook failed", hook=hook)
    )

    assert 1 == len(case.delivered())


@pytest.mark.parametrize("fault", ["down", "busy", "error"])
async def test_target_that_fails_is_a_remote_error(
    remote: NotifierCase, fault: str
) -> None:
    """In one line, and without its secret."""
    assert remote.break_down
    assert remote.mend
    await remote.break_down(fault)
    with pytest.raises(RemoteError) as caught:
        await remote.notifier.send(Notice(NoticeKind.ERROR, "first"))
    await remote.mend()
    await remote.notifier.send(Notice(NoticeKind.ERROR, "second"))

    assert ["second"] == [notice.text for notice in remote.delivered()]
    for shown in (str(caught.value), repr(caught.value), repr(remote.notifier)):
        assert remote.secret not in shown
        assert "hunter2" not in shown
        assert "\n" not in shown


async def test_target_that_hangs_can_be_left(remote: NotifierCase) -> None:
    """Nothing of the attempt stays behind."""
    assert remote.break_down
    await remote.break_down("hang")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await remote.notifier.send(Notice(NoticeKind.ERROR, "text"))
