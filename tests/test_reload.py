"""Changes of the configuration that wait for a restart of dewy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dewy.config import Settings, resolve
from dewy.errors import ConfigError
from dewy.reload import pending


def _settings(root: Path) -> Settings:
    given = {"registry": ["file:///srv/releases"], "program": ("app",)}
    return resolve("server", given, {}, root)


async def test_options_that_differ_are_named(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    read = replace(settings, interval=3.0, env_files=("x.env",))
    told = await pending(settings, lambda: read)

    assert "; restart dewy for: --interval, --env-file" == told


async def test_nothing_is_said_where_nothing_differs(tmp_path: Path) -> None:
    settings = _settings(tmp_path)

    assert "" == await pending(settings, lambda: replace(settings, cautions=("x",)))


async def test_overridden_key_is_told(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    read = replace(settings, overridden=("--keep overrides dewy.toml: keep",))

    assert "; --keep overrides dewy.toml: keep" == await pending(settings, lambda: read)


async def test_mistake_is_reported_before_failing_restart(
    tmp_path: Path,
) -> None:
    def reread() -> Settings:
        raise ConfigError("dewy.toml is not TOML: Invalid value")

    told = await pending(_settings(tmp_path), reread)
    mistake = "dewy.toml is not TOML: Invalid value"
    assert f"; dewy itself would not start again: {mistake}" == told
