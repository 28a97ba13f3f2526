"""What every notifier has to do, whatever its scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.notifiers import Kind, Notice
from tests.contracts.cases import NOTIFIER_CASES, NotifierCase


@pytest.fixture(params=NOTIFIER_CASES)
async def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[NotifierCase]:
    async with NOTIFIER_CASES[request.param](tmp_path) as made:
        yield made


@pytest.mark.parametrize("kind", Kind)
async def test_notice_of_every_kind_is_delivered(
    case: NotifierCase, kind: Kind
) -> None:
    """Which to leave out is decided before a notifier is asked."""
    notice = Notice(kind, "deployed `v1.0.0`", (("host", "web-01"),))

    await case.notifier.send(notice)

    assert [notice.text] == [sent.text for sent in case.delivered()]


async def test_notices_are_delivered_in_order(case: NotifierCase) -> None:
    texts = ["first", "second", "third"]
    for text in texts:
        await case.notifier.send(Notice(Kind.ORDINARY, text))

    assert texts == [notice.text for notice in case.delivered()]
