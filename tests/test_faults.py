"""Whose fault an exception is."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from dewy import errors
from dewy.errors import RemoteError, fault_of, of_plugin, register_plugin
from dewy.logs import summary


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Fails in its own way, and in that of whoever it calls."""
    monkeypatch.setattr(errors, "_PLUGINS", {})
    register_plugin("dewy_latest.registry", "latest")
    made = ModuleType("dewy_latest.helpers")
    code = "def fail(): raise KeyError('tag')\ndef call(other): other()"
    exec(code, vars(made))
    return made


def raised(work: Callable[[], object]) -> Exception:
    with pytest.raises((KeyError, RemoteError)) as caught:
        work()
    return caught.value


def test_exception_of_a_plugin_is_its_fault(plugin: ModuleType) -> None:
    """Also where it was raised in what the plugin called."""
    for work in (plugin.fail, lambda: plugin.call(lambda: {}["tag"])):
        exc = raised(work)
        assert "the plugin for latest://" == of_plugin(exc)
        assert "a fault of the plugin for latest://" == fault_of(exc)
        assert "KeyError: 'tag' (a fault of the plugin for latest://)" == summary(exc)


def test_exception_without_a_plugin_is_a_fault_of_dewy(plugin: ModuleType) -> None:
    exc = raised(lambda: {}["tag"])

    assert "a fault of dewy" == fault_of(exc)
    assert "KeyError: 'tag'" == summary(exc)


def test_error_that_a_plugin_raises_on_purpose_is_no_fault(plugin: ModuleType) -> None:
    def away() -> None:
        raise RemoteError("latest.test answered 503")

    assert "latest.test answered 503" == summary(raised(lambda: plugin.call(away)))
