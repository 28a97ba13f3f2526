"""Reading the configuration anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dewy.config import Settings
from dewy.daemon.reload import TAKEN, ContainerReload, merged
from dewy.errors import ConfigError
from tests.eventually import eventually


def settings(root: Path, **given: Any) -> Settings:
    usual: dict[str, Any] = {"command": "container", "registry": "img://a.test/b/c"}
    return Settings(root=root, cache_dir=root, **usual | given)


@dataclass
class Stage:
    """A reload, and whoever it tells."""

    old: Settings
    reread: Callable[[], Settings]
    told: list[str] = field(default_factory=list)
    renewed: list[Settings] = field(default_factory=list)
    why: str = ""

    def __post_init__(self) -> None:
        self.agent = SimpleNamespace(
            settings=self.old,
            describe=lambda: "v1 runs",
        )
        poller = SimpleNamespace(wake=lambda: self.told.append("woken"))
        service = SimpleNamespace(
            reloading=lambda: self.told.append("reloading"),
            ready=lambda what: self.told.append(f"ready: {what}"),
        )
        replica_set = SimpleNamespace(
            renew=self._renew,
            differs=lambda options: self.reread().run_options != self.old.run_options,
            outdated=self._outdated,
        )
        self.reload = ContainerReload(
            self.reread,
            service,  # type: ignore[arg-type]
            self.agent,  # type: ignore[arg-type]
            poller,  # type: ignore[arg-type]
            replica_set,  # type: ignore[arg-type]
        )

    def _renew(self, new: Settings, options: object, why: str) -> None:
        self.renewed.append(new)
        self.why = why

    async def _outdated(self, new: Settings, options: object) -> list[str]:
        return ["shop-1-0", "shop-1-1"] if new.cmd != self.old.cmd else []


async def test_reload_applies_changed_settings_to_all_components(tmp_path: Path):
    old = settings(tmp_path)
    new = replace(old, replicas=5, drain_time=1.0)
    stage = Stage(old, lambda: new)

    assert "changed: --replicas, --drain-time" == await stage.reload.reload()
    assert [new] == stage.renewed
    assert ["reloading", "woken", "ready: v1 runs"] == stage.told


async def test_changed_options_are_named_without_their_values(tmp_path: Path):
    old = settings(tmp_path, run_options=("-e", "KEY=old", "--memory", "1g"))
    words = ("-e", "KEY=s3cret", "--memory", "1g")
    stage = Stage(old, lambda: replace(old, run_options=words, cmd=("a",), replicas=2))
    told = await stage.reload.reload()

    assert "changed: --replicas, --cmd, run option -e" == told
    assert "--cmd, run option -e changed" == stage.why


async def test_reload_reports_settings_that_require_restart(tmp_path: Path):
    old = settings(tmp_path)
    stage = Stage(old, lambda: replace(old, runtime="podman", replicas=2))
    told = await stage.reload.reload()

    assert "changed: --replicas; restart dewy for: --runtime" == told
    assert old.runtime == stage.agent.settings.runtime


async def test_flag_that_overrides_the_file_is_told(tmp_path: Path):
    """Else "nothing changed" sends people looking for what they did wrong."""
    old = settings(tmp_path)
    overridden = ("--replicas overrides dewy.toml: replicas",)
    stage = Stage(old, lambda: replace(old, overridden=overridden))
    told = await stage.reload.reload()

    assert "nothing changed; --replicas overrides dewy.toml: replicas" == told


async def test_dry_run_tells_which_replicas_would_go_by_which_option(tmp_path: Path):
    """And changes nothing."""
    old = settings(tmp_path)
    stage = Stage(old, lambda: replace(old, cmd=("x",), keep=9, runtime="podman"))

    assert (
        "would change: --keep, --cmd; restart dewy for: --runtime; "
        "would replace: shop-1-0, shop-1-1 (--cmd)"
    ) == await stage.reload.preview()
    assert ([], []) == (stage.told, stage.renewed)
    stage = Stage(old, lambda: replace(old, keep=9))
    told = "would change: --keep; would replace: no replica"
    assert told == await stage.reload.preview()


async def test_nothing_changed(tmp_path: Path):
    old = settings(tmp_path)

    assert "nothing changed" == await Stage(old, lambda: replace(old)).reload.reload()


@pytest.mark.parametrize(
    "given", [{"command": "server"}, {"run_options": ("--privileged",)}]
)
async def test_invalid_reload_keeps_old_settings(given: Any, tmp_path: Path):
    old = settings(tmp_path)
    stage = Stage(old, lambda: replace(old, replicas=9, **given))
    with pytest.raises(ConfigError):
        await stage.reload.reload()

    assert [] == stage.renewed
    assert [] == stage.renewed
    assert ["reloading", "ready: v1 runs"] == stage.told


async def test_a_file_that_cannot_be_read_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    def broken() -> Settings:
        raise ConfigError("dewy.toml: line 3 is none")

    old = settings(tmp_path)
    stage = Stage(old, broken)
    stage.reload.request()
    await eventually(lambda: "ready: v1 runs" in stage.told)
    await eventually(lambda: "Configuration not reloaded" in caplog.messages)

    assert [] == stage.renewed


async def test_a_request_ends_with_its_owner(tmp_path: Path):
    stage = Stage(settings(tmp_path), lambda: settings(tmp_path))
    await stage.reload._busy.acquire()
    stage.reload.request()
    await asyncio.sleep(0)
    await stage.reload.stop()

    assert [] == stage.renewed


def test_reload_merges_only_reloadable_settings(tmp_path: Path):
    old = settings(tmp_path)
    names = {each for each in old.__dataclass_fields__ if each not in TAKEN}

    assert names >= {"command", "registry", "root", "runtime", "name", "proxy_threads"}
    new, left = merged(old, replace(old, cautions=("careful",), replicas=7))
    assert (7, []) == (new.replicas, left)
