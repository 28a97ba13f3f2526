"""Choosing between the extension and its pure twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy import _speedups


@pytest.fixture(autouse=True)
def _unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version whose extension did not build, with neither variable set."""
    monkeypatch.setattr(_speedups, "EXTENSIONS", ("unbuilt_c",))
    monkeypatch.delenv("DEWY_NO_EXTENSIONS", raising=False)
    monkeypatch.delenv("DEWY_REQUIRE_EXTENSIONS", raising=False)


def test_missing_extension_falls_back() -> None:
    """Without the extension the pure twin serves."""
    assert (False, "") == _speedups._load()


def test_missing_required_extension_raises_import_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is about the extension can't pass without it."""
    monkeypatch.setenv("DEWY_REQUIRE_EXTENSIONS", "1")

    with pytest.raises(ImportError, match="unbuilt_c"):
        _speedups._load()


def test_refusing_extensions_wins_over_requiring_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused, the extension is not even looked for."""
    monkeypatch.setenv("DEWY_REQUIRE_EXTENSIONS", "1")
    monkeypatch.setenv("DEWY_NO_EXTENSIONS", "1")

    assert (False, "") == _speedups._load()


def test_present_extension_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any importable module will do to show the choice."""
    monkeypatch.setattr(_speedups, "EXTENSIONS", ("__init__",))

    assert (True, "") == _speedups._load()


def test_version_without_extensions_has_nothing_to_require(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requiring is about what should have been built."""
    monkeypatch.setattr(_speedups, "EXTENSIONS", ())
    monkeypatch.setenv("DEWY_REQUIRE_EXTENSIONS", "1")

    assert (False, "") == _speedups._load()


def test_broken_extension_falls_back_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Built for another interpreter, say: an operator would only see it slower."""
    (tmp_path / "broken_c.py").write_text("raise ImportError('undefined symbol: x')")
    monkeypatch.setattr(_speedups, "__path__", [str(tmp_path)])
    monkeypatch.setattr(_speedups, "EXTENSIONS", ("broken_c",))

    assert (False, "undefined symbol: x") == _speedups._load()
