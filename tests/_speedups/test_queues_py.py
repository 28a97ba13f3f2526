"""How the pure twin tells what happened."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from dewy._speedups.interface import DRAINED, IDLE, SUSPECT
from dewy._speedups.queues_py import EventQueue


@pytest.fixture
def news() -> Iterator[EventQueue]:
    """With nothing to tell yet."""
    news = EventQueue()
    yield news
    news.close()


def ringing(news: EventQueue) -> bool:
    """Whether there seems to be something."""
    return bool(select.select([news], [], [], 0)[0])


def test_queue_descriptor_is_readable_until_events_are_taken(news: EventQueue) -> None:
    """Once for all that there is."""
    assert not ringing(news)
    news.say(DRAINED, 1)
    news.say(SUSPECT, 2, 111)
    assert ringing(news)
    assert [(DRAINED, 1, 0), (SUSPECT, 2, 111)] == news.take()
    assert not ringing(news)
    assert [] == news.take()


def test_nothing_is_told_twice_at_once(news: EventQueue) -> None:
    """But again when it happens again."""
    for detail in (111, 110):
        news.say(SUSPECT, 2, detail)
    assert [(SUSPECT, 2, 111)] == news.take()
    news.say(SUSPECT, 2, 110)
    assert [(SUSPECT, 2, 110)] == news.take()


def test_unsay_discards_events_of_given_subject_and_kinds(news: EventQueue) -> None:
    """Of that subject, and of those kinds."""
    for kind, subject in ((DRAINED, 1), (DRAINED, 2), (IDLE, 1)):
        news.say(kind, subject)
    news.unsay(1, (DRAINED, SUSPECT))
    assert [(DRAINED, 2, 0), (IDLE, 1, 0)] == news.take()
    assert not ringing(news)
