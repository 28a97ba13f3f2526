"""What registries call their answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from dewy.registries.candidates import AnswerNames, stamp


def test_name_is_the_local_time_with_its_offset() -> None:
    japan = timezone(timedelta(hours=9))

    assert "20310203T040506+0900" == stamp(datetime(2031, 2, 3, 4, 5, 6, tzinfo=japan))
    assert "20310203T040506Z" == stamp(datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC))


def test_answer_that_stays_keeps_its_name() -> None:
    names = AnswerNames()
    first = names.name("v1")

    assert first == names.name("v1")
    assert names.name("v2")
