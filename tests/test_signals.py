"""What signals ask of the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from dewy import daemon
from dewy.config import Settings
from dewy.polling import Poller, Tick
from dewy.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_the_first_asks_to_stop_and_the_second_to_hurry(number: signal.Signals):
    with Signals() as signals:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(signals.stop.wait(), 20)
        assert (number.name, False) == (signals.reason, signals.hurry.is_set())

        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.hurry.wait(), 20)
        assert number.name == signals.reason


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
async def test_a_restart_is_asked_for_whenever_something_runs(number: signal.Signals):
    """Before that there is nothing to restart, and nothing is said to have been."""
    asked = asyncio.Event()
    with Signals() as signals:
        os.kill(os.getpid(), number)
        signals.on_restart(asked.set)
        os.kill(os.getpid(), number)

        await asyncio.wait_for(asked.wait(), 20)
        assert not signals.stop.is_set()


async def test_signal_handlers_are_restored_on_exit():
    with Signals():
        pass

    assert signal.SIG_DFL == signal.getsignal(signal.SIGHUP)


async def test_stop_signal_cancels_poller_before_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the cancellation would come amid dewy's farewell, and break it off."""
    heard = asyncio.Event()
    requests: list[int] = []
    polled, stopped = Poller.run, Signals._stop

    def stop(signals: Signals, number: signal.Signals) -> None:
        stopped(signals, number)
        heard.set()

    async def look(poller: Poller, prepare: object) -> float:
        """The signal comes amid the first, which ends at that moment."""
        if heard.is_set():
            await asyncio.Event().wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await heard.wait()
        poller.wake()
        return 0.0

    async def run(poller: Poller, over: asyncio.Event, prepare: Tick) -> None:
        try:
            await polled(poller, over, prepare)
        finally:
            task = asyncio.current_task()
            assert task
            requests.append(task.cancelling())

    monkeypatch.setattr(Signals, "_stop", stop)
    monkeypatch.setattr(Poller, "once", look)
    monkeypatch.setattr(Poller, "run", run)
    settings = Settings(
        command="assets",
        root=tmp_path,
        cache_dir=tmp_path / "cache",
        registry="mem://farewell",
        cache="mem://farewell",
        admin_port=0,
    )

    assert 0 == await daemon.run(settings)
    assert [1] == requests
