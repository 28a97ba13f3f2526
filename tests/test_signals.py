"""What signals ask of the daemon."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

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
        signals.restart = asked.set
        os.kill(os.getpid(), number)

        await asyncio.wait_for(asked.wait(), 20)
        assert not signals.stop.is_set()


async def test_afterwards_signals_mean_what_they_meant():
    with Signals():
        pass

    assert signal.SIG_DFL == signal.getsignal(signal.SIGHUP)
