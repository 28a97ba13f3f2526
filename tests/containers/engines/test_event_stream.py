"""Events, across all that can happen to the connection they come by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dewy.containers.engines import event_stream
from dewy.containers.engines.docker import DockerEngine
from dewy.containers.model import Event
from dewy.errors import EngineError
from tests.containers.engines.test_decode import ID, told
from tests.eventually import eventually, turns
from tests.standins.fake_engine import FakeEngine

CONNECTED, LOST = Event("connected"), Event("lost")


@pytest.fixture
async def events(docker: DockerEngine) -> AsyncIterator[AsyncIterator[Event]]:
    """Of the containers labelled `mine`; connected."""
    async with docker.events({"mine": None}) as following:
        assert CONNECTED == await anext(following)
        yield following


async def test_broken_stream_is_opened_anew(
    fake: FakeEngine, events: AsyncIterator[Event]
) -> None:
    """And says so, since something may have been missed."""
    await fake.tell(told("start", mine=""))
    assert Event("start", ID) == await anext(events)

    fake.break_streams()

    assert [LOST, CONNECTED] == [await anext(events), await anext(events)]
    await fake.tell(told("die", mine="", exitCode="1"))
    assert Event("die", ID, "1") == await anext(events)


async def test_event_that_comes_in_pieces_is_whole(
    fake: FakeEngine, events: AsyncIterator[Event]
) -> None:
    for piece in (b'\n{"Type":"container","Action":"start","Actor":', b'{"ID":"a",'):
        await fake.tell(piece)
    await fake.tell(b'"Attributes":{"mine":""}}}\n{"Type":"image"}\n')
    await fake.tell(told("die", mine="", exitCode="0"))

    assert Event("start", "a") == await anext(events)
    assert Event("die", ID, "0") == await anext(events)


@pytest.mark.parametrize("garbage", [b"<html>\n", b"17\n", b'{"Actor": 5}\n'])
async def test_garbage_breaks_the_stream_and_nothing_else(
    fake: FakeEngine, events: AsyncIterator[Event], garbage: bytes
) -> None:
    await fake.tell(garbage.replace(b"{", b'{"Type":"container","Action":"start",'))

    assert [LOST, CONNECTED] == [await anext(events), await anext(events)]


async def test_line_without_end_is_not_kept(
    fake: FakeEngine, events: AsyncIterator[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "LONGEST_LINE", 100)
    await fake.tell(b"x" * 101)

    assert [LOST, CONNECTED] == [await anext(events), await anext(events)]


async def test_silence_is_no_fault_of_an_engine_that_lives(
    fake: FakeEngine, events: AsyncIterator[Event]
) -> None:
    """It is asked, and the stream stays."""
    pinged = len(fake.asked)
    await eventually(lambda: len(fake.asked) >= pinged + 2)

    await fake.tell(told("start", mine=""))

    assert Event("start", ID) == await anext(events)
    assert {"_ping"} == {asked.path for asked in fake.asked[pinged:]}


async def test_stream_that_ended_is_continued_without_a_gap(
    fake: FakeEngine, events: AsyncIterator[Event]
) -> None:
    """Podman ends its streams whenever the file of its events is rotated."""
    started = {**told("start", mine=""), "timeNano": 1_700_000_000_000_000_007}
    await fake.tell(started)
    assert Event("start", ID) == await anext(events)

    fake.break_streams()

    assert [LOST, CONNECTED] == [await anext(events), await anext(events)]
    assert "1700000000.000000007" == fake.followed[-1]["since"]
    # Podman takes that for the whole second, and repeats what was in it.
    await fake.tell(started)
    await fake.tell(told("die", mine="", exitCode="1"))
    assert Event("die", ID, "1") == await anext(events)


async def test_engine_that_hangs_is_noticed(
    fake: FakeEngine, events: AsyncIterator[Event]
) -> None:
    """Its stream is given up, and opened anew when it answers again."""
    fake.hanging = {"*"}
    await eventually(lambda: not fake.streams)
    fake.hanging = set()

    assert [LOST, CONNECTED] == [await anext(events), await anext(events)]


async def test_engine_that_is_away_is_waited_for(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """Even if it is away from the beginning."""
    await fake.stop()
    async with docker.events({}) as events:
        first = asyncio.ensure_future(anext(events))
        await turns()
        # The stream has tried before.
        with pytest.raises(EngineError):
            await docker.containers({})
        await fake.start()

        assert CONNECTED == await first


async def test_disconnect_of_our_containers_is_told(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """A network does not say whose container it was."""
    fake.answer("containers/json", [{"Id": "known"}])
    async with docker.events({"mine": None}) as events:
        assert CONNECTED == await anext(events)
        for name in ("known", "foreign", ID):
            await fake.tell(told("disconnect", "network", container=name))
        await fake.tell(told("start", mine=""))
        await fake.tell(told("disconnect", "network", container=ID))
        await fake.tell(told("destroy", mine=""))
        await fake.tell(told("disconnect", "network", container=ID))
        await fake.tell(told("create", mine=""))

        seen = [await anext(events) for _ in range(5)]

    assert [
        Event("disconnect", "known"),
        Event("start", ID),
        Event("disconnect", ID),
        Event("destroy", ID),
        Event("create", ID),
    ] == seen


async def test_fault_of_ours_reaches_the_reader(
    docker: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(event_stream, "_once", fail)
    async with docker.events({}) as events:
        with pytest.raises(ZeroDivisionError):
            await anext(events)
