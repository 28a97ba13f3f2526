"""Programs that live, but accept no connections."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from dewy.daemon.inspection import inspecting
from dewy.notifiers import NoticeKind
from dewy.supervisor.accepting import AcceptWatch
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.switching import renew
from tests.supervisor.conftest import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

PERIOD = 0.05
DEAF = "Nothing accepts connections"
REOPENED = "Opened port again, which a program closed by shutdown(2)"


class Watching:
    """A watch of *site* with little patience, and the notices it sent."""

    def __init__(self, site: Site) -> None:
        self.notices: list[tuple[NoticeKind, str]] = []
        self.watch = AcceptWatch(
            site.generations,
            site.listeners,
            site.supervisor.restart,
            lambda kind, text: self.notices.append((kind, text)),
            patience=0.5,
        )

    def told(self, phrase: str) -> Callable[[], bool]:
        return lambda: any(phrase in text for _, text in self.notices)


def degraded(site: Site) -> bool:
    problem = f"nothing accepts connections on port 127.0.0.1:{site.port}: 1 has waited"
    return any(problem in text for text in site.generations.degraded())


@contextmanager
def shared(site: Site) -> Iterator[socket.socket]:
    """The listening socket as other generations have it."""
    with socket.socket(fileno=os.dup(site.listeners.descriptors[0])) as listener:
        yield listener


def logged(caplog: pytest.LogCaptureFixture, message: str, times: int) -> bool:
    return times == caplog.messages.count(message)


async def test_program_not_accepting_is_degraded_until_accept(site, caplog):
    site.install("v1", programs.PAUSES)
    await site.open()
    await site.supervisor.start()
    await site.answers("v1")
    watching = Watching(site)
    async with inspecting(watching.watch.look, period=PERIOD):
        (site.root / "pause").touch()
        await eventually((site.root / "paused").exists)
        asked = asyncio.create_task(site.ask())
        await eventually(lambda: degraded(site))
        assert watching.watch.undecided
        await eventually(watching.told("the program is left running"))
        (site.root / "pause").unlink()
        assert "v1" == await asked
        await eventually(watching.told("connections are accepted again"))

    assert [] == site.generations.degraded()
    assert not watching.watch.undecided
    assert [NoticeKind.ERROR, NoticeKind.RECOVERY] == [
        kind for kind, _ in watching.notices
    ]
    assert 1 == caplog.messages.count(DEAF)
    assert [1] == [worker.generation for worker in site.generations.workers]


async def test_program_whose_predecessor_closed_its_port_is_restarted_and_serves(
    site, caplog
):
    site.install("v1", programs.SHUTS_DOWN)
    await site.open()
    await site.supervisor.start()
    await site.answers("v1")
    site.install("v2", programs.GIVES_UP)
    await renew(site.generations)
    await eventually((site.root / "deaf").exists)
    watching = Watching(site)
    async with inspecting(watching.watch.look, period=PERIOD):
        (site.root / "leave").touch()
        await site.only(2)
        # The client waits in the queue, which outlives the program.
        assert "v2" == await site.ask()
        await site.only(3)
        await eventually(watching.told("connections are accepted again"))

    assert 1 == site.generations.restarts
    assert watching.told("which is restarted once")()
    assert 1 == caplog.messages.count(DEAF)
    assert [] == site.generations.degraded()


async def test_program_that_accepts_nothing_after_its_restart_is_not_restarted_again(
    site, caplog
):
    site.install("v1", programs.NEVER_READY)
    await site.open()
    await site.supervisor.start()
    watching = Watching(site)
    async with inspecting(watching.watch.look, period=PERIOD):
        for generation in (1, 2):
            await site.only(generation)
            with shared(site) as listener:
                listener.shutdown(socket.SHUT_RDWR)
            await eventually(partial(logged, caplog, REOPENED, generation))
            with socket.create_connection(("127.0.0.1", site.port)):
                await eventually(partial(logged, caplog, DEAF, generation))
                assert degraded(site)
                # It must not wait for the next generation, too.
                with shared(site) as listener:
                    listener.accept()[0].close()
        assert watching.told("a restart did not help")()

    assert 1 == site.generations.restarts
    await site.only(2)
