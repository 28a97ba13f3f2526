"""The engine, asked as the command asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dewy.checks.endpoints import engine_findings, option_findings
from dewy.checks.finding import Level
from dewy.config import Settings
from tests.needs import needs


def settings(root: Path, *words: str, **given: Any) -> Settings:
    return Settings(
        command="container",
        root=root,
        cache_dir=root,
        registry="img://registry.test/acme/none-of-these",
        run_options=words,
        **given,
    )


async def test_refused_option_is_a_mistake(tmp_path: Path) -> None:
    """By the reader of the command."""
    (found,) = [e async for e in option_findings(settings(tmp_path, "--privileged"))]

    assert Level.MISTAKE is found.level
    assert "--privileged" in found.text


@pytest.mark.parametrize("runtime", ["docker", "podman"])
async def test_missing_socket_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    """Exit status 2, as of the command."""
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(name, f"unix://{tmp_path}/none.sock")
    chosen = settings(tmp_path, runtime=runtime)
    (found,) = [each async for each in engine_findings(chosen)]

    assert (Level.MISTAKE, "engine") == (found.level, found.subject)
    assert "none.sock" in found.text


@needs("docker")
async def test_engine_that_answers_is_named(tmp_path: Path) -> None:
    """With the containers it has of the application."""
    found = [each async for each in engine_findings(settings(tmp_path))]

    assert [Level.OK, Level.OK] == [each.level for each in found]
    assert "0 of none-of-these, 0 running" == found[1].text


@needs("docker")
@pytest.mark.parametrize("name", ["bridge", "default", "host-of-none-of-these"])
async def test_network_that_is_missing_is_a_failure(tmp_path: Path, name: str) -> None:
    """Each deployment would fail with it; the engine's own ones are there."""
    chosen = settings(tmp_path, "--network", name)
    found = [each async for each in engine_findings(chosen)]
    told = [each for each in found if each.level is not Level.OK]

    assert ["network"] * (name not in {"bridge", "default"}) == [
        each.subject for each in told
    ]
    assert all(name in each.text for each in told)
