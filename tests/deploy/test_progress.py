"""Showing how far a download is."""

from __future__ import annotations

import doctest
import io
import logging
import sys

import pytest

from dewy.deploy import progress
from dewy.release import Release

RELEASE = Release("v1.0.0", "file:///app.tgz", "one")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_bar_uses_single_line_and_is_cleared() -> None:
    stream = Terminal()
    times = iter([0.0, 0.0, 0.01, 0.2])

    with progress.bar("app.tgz", stream, lambda: next(times, 9.0)) as tell:
        tell(1 << 20, 2 << 20)

    text = stream.getvalue()
    assert "\r\x1b[Kapp.tgz [###############---------------]  50%" in text
    assert text.endswith("\r\x1b[K")
    assert "\n" not in text


def test_bar_is_not_redrawn_for_every_piece() -> None:
    stream = Terminal()

    with progress.bar("app.tgz", stream, lambda: 1.0) as tell:
        for done in range(1000):
            tell(done, 1000)

    assert 2 == stream.getvalue().count("\r")


def test_bar_is_wiped_out_when_the_download_fails() -> None:
    stream = Terminal()

    with pytest.raises(ZeroDivisionError), progress.bar("app.tgz", stream):
        raise ZeroDivisionError

    assert stream.getvalue().endswith("\r\x1b[K")


def test_line_does_without_a_total() -> None:
    assert "app.tgz 1.5 MiB" == progress.line("app.tgz", 3 << 19, None)


def test_line_stays_within_its_width_whatever_the_server_sends() -> None:
    assert "100%" in progress.line("app.tgz", 3 << 20, 1 << 20)
    assert "app.tgz 0.0 MiB" == progress.line("app.tgz", 0, 0)


def test_examples_hold() -> None:
    assert 0 == doctest.testmod(progress).failed


def test_log_tells_every_tenth(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tell = progress.steps("app.tgz")
    for done in range(0, 1001, 7):
        tell(done, 1000)
    tell(1000, 1000)
    tell(5, None)

    assert list(range(10, 101, 10)) == [
        getattr(record, "percent", None) for record in caplog.records
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_bar_is_for_terminals_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    with progress.shown(RELEASE) as tell:
        tell(1, 2)

    assert terminal == bool(stream.getvalue())


def test_bytes_are_counted_over_all_downloads() -> None:
    """Two at a time do not mix, and what is begun anew counts anew."""
    shown = progress.ProgressReporter()
    with shown(RELEASE) as one, shown(RELEASE) as other:
        one(100, 1000)
        other(50, None)
        one(1000, 1000)
        other(20, None)

    assert 1000 + 50 + 20 == shown.fetched


def test_fetch_progress_is_reported_at_each_tenth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 1.0)
    told: list[tuple[str, str, bool]] = []
    reporter = progress.ProgressReporter()
    reporter.listeners.append(lambda *given: told.append(given))
    with reporter(RELEASE) as tell:
        for done in range(0, 31 << 20, 1 << 20):
            tell(done, 30 << 20)

    assert ("v1.0.0", "fetching v1.0.0: 0.0 of 30.0 MiB (0%)", False) == told[0]
    assert ("v1.0.0", "fetching v1.0.0: 15.0 of 30.0 MiB (50%)", True) in told
    assert 9 == sum(news for _, _, news in told)
    assert "2.0 MiB" == progress.amount(2 << 20, None)
