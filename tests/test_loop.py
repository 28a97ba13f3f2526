"""The event loop dewy runs on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from dewy import loop
from dewy.errors import ConfigError


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by who runs the tests nor for them."""
    monkeypatch.delenv("DEWY_LOOP", raising=False)


async def running() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def test_main_runs_on_the_loop_that_is_named() -> None:
    """`dewy --version` tells which one that is."""
    assert loop.name() == loop.run(running())


def test_asyncio_does_where_uvloop_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with the extra `fast`."""
    monkeypatch.setattr(loop, "find_spec", lambda name: None)
    assert loop.loop_factory() is None
    assert "asyncio" == loop.run(running())


@pytest.mark.parametrize("wanted", ["asyncio", "uvloop"])
def test_loop_can_be_chosen(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    """By the environment, which is there before any option."""
    monkeypatch.setenv("DEWY_LOOP", wanted)
    assert wanted == loop.name() == loop.run(running())


@pytest.mark.parametrize(
    ("wanted", "message"), [("trio", "not 'trio'"), ("uvloop", "pip install")]
)
def test_loop_that_is_none_or_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, wanted: str, message: str
) -> None:
    """Rather than to run on another one, unnoticed."""
    monkeypatch.setattr(loop, "find_spec", lambda name: None)
    monkeypatch.setenv("DEWY_LOOP", wanted)
    with pytest.raises(ConfigError, match=message):
        loop.run(running())


def test_asyncio_does_where_uvloop_is_broken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Built for another C library, say; but not where it was asked for."""
    monkeypatch.setattr(loop, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert "asyncio" == loop.run(running())
    assert ["Event loop uvloop not used"] == [each.message for each in caplog.records]

    monkeypatch.setenv("DEWY_LOOP", "uvloop")
    with pytest.raises(ConfigError, match="uvloop cannot be used"):
        loop.run(running())


def test_naming_the_loop_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is asked for by scripts."""
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    assert loop.name() in ("uvloop", "asyncio")
    assert "uvloop" not in sys.modules


def test_run_returns_result_or_raises_error_of_main() -> None:
    """Nothing is wrapped."""

    async def fails() -> None:
        raise LookupError("mine")

    async def answers() -> int:
        return 7

    assert 7 == loop.run(answers())
    with pytest.raises(LookupError, match="mine"):
        loop.run(fails())
