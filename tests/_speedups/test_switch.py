"""Choosing between the extension and its pure twin."""

from __future__ import annotations

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
    assert _speedups._compiled() is False


def test_missing_extension_is_an_error_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is about the extension can't pass without it."""
    monkeypatch.setenv("DEWY_REQUIRE_EXTENSIONS", "1")

    with pytest.raises(ImportError, match="unbuilt_c"):
        _speedups._compiled()


def test_refusing_extensions_wins_over_requiring_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused, the extension is not even looked for."""
    monkeypatch.setenv("DEWY_REQUIRE_EXTENSIONS", "1")
    monkeypatch.setenv("DEWY_NO_EXTENSIONS", "1")

    assert _speedups._compiled() is False


def test_present_extension_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any importable module will do to show the choice."""
    monkeypatch.setattr(_speedups, "EXTENSIONS", ("__init__",))

    assert _speedups._compiled() is True


def test_version_without_extensions_has_nothing_to_require(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requiring is about what should have been built."""
    monkeypatch.setattr(_speedups, "EXTENSIONS", ())
    monkeypatch.setenv("DEWY_REQUIRE_EXTENSIONS", "1")

    assert _speedups._compiled() is False
