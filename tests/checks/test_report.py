"""The whole report."""

from __future__ import annotations

from pathlib import Path

from dewy.checks import Level, examine_host
from dewy.config import Settings
from dewy.errors import ConfigError


async def test_mistakes_and_failures_are_told_together(tmp_path: Path) -> None:
    """Each once, the configuration first."""
    settings = Settings(
        command="assets",
        root=tmp_path,
        cache_dir=tmp_path / "cache",
        registry="nobody://x",
        cautions=("careful",),
    )
    (tmp_path / "cache").write_text("")
    report = await examine_host(settings, [ConfigError("--x is wrong")], mode="assets")

    told = [(each.level, each.text) for each in report.findings]
    assert (Level.MISTAKE, "--x is wrong") == told[0]
    assert (Level.ATTENTION, "careful") == told[1]
    assert 1 == sum("nobody://" in text for _, text in told)
    assert any("cache cannot be written" in text for _, text in told)
    assert 2 == report.status


async def test_release_that_is_missing_is_a_failure(tmp_path: Path) -> None:
    """Nothing is wrong otherwise."""
    settings = Settings(
        command="assets",
        root=tmp_path,
        cache_dir=tmp_path / ".dewy/cache",
        registry=f"file://{tmp_path}",
    )
    online = await examine_host(settings, mode="assets")
    offline = await examine_host(settings, mode="assets", offline=True, host=True)

    assert (1, 0) == (online.status, offline.status)
    assert online.found
    assert "error" in online.found
    assert None is offline.found
    subjects = {each.subject for each in offline.findings}
    assert {"root", "disk"} <= subjects
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240


async def test_limit_of_connections_above_that_of_descriptors_is_told(
    tmp_path: Path,
) -> None:
    settings = Settings(
        command="container",
        root=tmp_path,
        cache_dir=tmp_path / ".dewy/cache",
        max_connections=100_000_000,
    )
    report = await examine_host(settings, mode="container", offline=True)

    (found,) = [each for each in report.findings if each.subject == "descriptors"]
    assert Level.ATTENTION is found.level
    assert "--max-connections 100000000 needs" in found.text
