"""Options of the proxy that depend on each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dewy.config import resolve


def cautions(root: Path, **given: str) -> tuple[str, ...]:
    said: dict[str, Any] = {"backend": ("127.0.0.1:80",), "log-connections": True}
    return resolve("proxy", {**said, **given}, {}, root).cautions


def test_connections_that_nobody_sees_logged_come_with_a_word(tmp_path: Path) -> None:
    (caution,) = cautions(tmp_path, **{"log-level": "warn"})

    assert "--log-connections has no effect with --log-level warn" == caution
    assert () == cautions(tmp_path)
