"""Options of the proxy that depend on each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dewy.config import resolve
from dewy.errors import ConfigError


def cautions(root: Path, **given: str) -> tuple[str, ...]:
    said: dict[str, Any] = {"backend": ("127.0.0.1:80",), "log-connections": True}
    return resolve("proxy", {**said, **given}, {}, root).cautions


def test_log_connections_with_log_level_warn_yields_caution(tmp_path: Path) -> None:
    (caution,) = cautions(tmp_path, **{"log-level": "warn"})

    assert "--log-connections has no effect with --log-level warn" == caution
    assert () == cautions(tmp_path)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"health-interval": "5s", "health-rise": "2"}, {"health-path": "/up"}),
        ({"health-host": "app.test", "health-fall": "2"}, {"health-path": "/up"}),
        ({"socket-mode": "0660", "socket-owner": ":web"}, {"listen": "unix:/run/x"}),
    ],
)
def test_option_without_required_option_yields_caution(
    tmp_path: Path, given: dict[str, str], needed: dict[str, str]
) -> None:
    usual = {"listen": "8080", "backend": "127.0.0.1:9"}
    found = resolve("proxy", usual | given, {}, tmp_path)

    assert [f"--{name} has no effect without" for name in given] == [
        caution[: caution.index("without") + len("without")]
        for caution in found.cautions
    ]
    assert () == resolve("proxy", usual | given | needed, {}, tmp_path).cautions


@pytest.mark.parametrize(
    ("listen", "backend"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("80", "[::1]:80"),
        ("0.0.0.0:80", "localhost:80"),
        ("[::1]:80", "localhost:80"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_proxy_that_is_its_own_backend_is_refused(
    tmp_path: Path, listen: str, backend: str
) -> None:
    """Each connection would begin another, until no descriptor is left."""
    with pytest.raises(ConfigError, match=r"is a --listen of this proxy"):
        resolve("proxy", {"listen": (listen,), "backend": (backend,)}, {}, tmp_path)


@pytest.mark.parametrize(
    ("listen", "backend"),
    [
        ("80", "127.0.0.1:81"),
        ("80", "192.0.2.1:80"),
        ("127.0.0.2:80", "127.0.0.1:80"),
        ("unix:/run/x", "unix:/run/y"),
        ("80", "app.example:80"),
    ],
)
def test_backend_elsewhere_is_taken(tmp_path: Path, listen: str, backend: str) -> None:
    given = {"listen": (listen,), "backend": (backend,)}
    assert () == resolve("proxy", given, {}, tmp_path).cautions


def test_listener_that_is_given_twice_is_told(tmp_path: Path) -> None:
    given = {"listen": ("80", "81", "80"), "backend": ("127.0.0.1:9",)}
    with pytest.raises(ConfigError, match="--listen 80 is given twice"):
        resolve("proxy", given, {}, tmp_path)
