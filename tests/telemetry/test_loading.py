"""Loading telemetry where it was asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Settings
from dewy.errors import ImplementationUnavailable
from dewy.telemetry import load
from tests.needs import found


def settings(**given: Any) -> Settings:
    root = Path("/srv/app")
    return Settings(command="server", root=root, cache_dir=root, **given)


def test_telemetry_is_disabled_by_default() -> None:
    assert load(settings()) is None
    assert load(settings(otlp_insecure=True)) is None


@pytest.mark.skipif(not found("telemetry"), reason="nothing to load")
@pytest.mark.parametrize(
    "given", [{"telemetry": True}, {"otlp_endpoint": "localhost:4317"}], ids=str
)
def test_telemetry_is_enabled_by_either_option(given: dict[str, Any]) -> None:
    assert load(settings(**given)) is not None


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"telemetry": True}, "--telemetry"),
        ({"telemetry": True, "otlp_endpoint": "localhost:4317"}, "--otlp-endpoint"),
    ],
    ids=str,
)
def test_missing_dependency_error_shows_install_command(
    given: dict[str, Any], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith("dewy.telemetry."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ImplementationUnavailable) as caught:
        load(settings(**given))

    said = str(caught.value)
    assert said.startswith(f"{option} needs opentelemetry")
    assert f"; {sys.executable} -m pip install 'opentelemetry-sdk>=" in said
