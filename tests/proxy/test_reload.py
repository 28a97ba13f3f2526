"""The proxy's configuration, read anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Endpoint, HostName, Settings
from dewy.errors import ConfigError, DewyError
from dewy.proxy import Proxy
from dewy.proxy.frontend import Frontend
from dewy.proxy.standalone import ProxyReload, merged
from dewy.systemd import Service
from tests.eventually import eventually

OLD = Settings(
    command="proxy",
    root=Path("/"),
    cache_dir=Path("/"),
    listen=(Endpoint("127.0.0.1", 0),),
    backends=(Endpoint("127.0.0.1", 1),),
)


class File:
    """The configuration, as it is written at the time."""

    def __init__(self) -> None:
        self.settings: Settings | Exception = OLD

    def read(self) -> Settings:
        if isinstance(self.settings, Exception):
            raise self.settings
        return self.settings


@pytest.fixture
def file() -> File:
    return File()


@pytest.fixture
async def frontend(proxy: Proxy) -> AsyncIterator[Frontend]:
    made = Frontend(proxy, OLD)
    await made.open(())
    yield made
    await made.stop()


@pytest.fixture
async def reload(frontend: Frontend, file: File) -> AsyncIterator[ProxyReload]:
    made = ProxyReload(frontend, Service(), file.read)
    yield made
    await made.stop()


async def test_reload_reports_changes_and_options_needing_restart(
    reload: ProxyReload, file: File, frontend: Frontend
) -> None:
    new = (Endpoint("127.0.0.1", 2),)
    file.settings = replace(OLD, backends=new, balance="least-connections")
    told = "changed: --backend; restart dewy for: --balance"
    assert told.replace("changed", "would change") == await reload.preview()
    assert OLD == frontend.settings
    assert told == await reload.reload()
    (pool,) = frontend.pools.values()
    assert [*new] == [each.endpoint for each in pool.port.serving]
    assert "nothing changed; restart dewy for: --balance" == await reload.reload()


async def test_invalid_configuration_changes_nothing(
    reload: ProxyReload,
    file: File,
    frontend: Frontend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By a signal, the log tells."""
    file.settings = ConfigError("dewy.toml: backend is wrong")
    with pytest.raises(ConfigError):
        await reload.reload()
    reload.request()
    await eventually(lambda: "Configuration not reloaded" in caplog.messages)
    assert OLD == frontend.settings


async def test_proxy_that_drains_is_not_reloaded(reload: ProxyReload) -> None:
    await reload.stop()
    with pytest.raises(DewyError, match="is draining"):
        await reload.reload()


async def test_unresolvable_backend_fails_preview_and_reload(
    reload: ProxyReload, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> list[Endpoint]:
        return []

    monkeypatch.setattr("dewy.proxy.resolver.Resolver.addresses", nothing)
    file.settings = replace(OLD, backends=(HostName("app", 80),))
    for ask in (reload.preview, reload.reload):
        with pytest.raises(DewyError, match="no backend can be looked up: app:80"):
            await ask()


def lookup_hangs(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have looking names up take for ever; return what tells that it has begun."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> list[Endpoint]:
        begun.set()
        await never.wait()
        return []

    monkeypatch.setattr("dewy.proxy.resolver.Resolver.addresses", slow)
    return begun


async def test_reload_under_way_ends_with_the_proxy(
    reload: ProxyReload, file: File, frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would open ports while those that were open drain."""
    begun = lookup_hangs(monkeypatch)
    file.settings = replace(OLD, backends=(Endpoint("127.0.0.1", 2),))
    asked = asyncio.create_task(reload.reload())
    await begun.wait()
    await reload.stop()
    with pytest.raises(DewyError, match="is draining"):
        await asked
    assert OLD == frontend.settings


async def test_request_for_a_reload_can_be_cancelled(
    reload: ProxyReload, frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when whoever asked has left."""
    begun = lookup_hangs(monkeypatch)
    asked = asyncio.create_task(reload.reload())
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    monkeypatch.undo()
    assert "nothing changed" == await reload.reload()


async def test_reloads_follow_each_other(reload: ProxyReload, file: File) -> None:
    file.settings = replace(OLD, drain_time=1.0)
    first, second = await asyncio.gather(reload.reload(), reload.reload())
    assert ("changed: --drain-time", "nothing changed") == (first, second)


def test_changes_that_are_permitted_are_taken() -> None:
    changes: dict[str, Any] = {"drain_time": 9.0, "proxy_threads": 7}
    new, left = merged(OLD, replace(OLD, **changes))
    assert (9.0, None, ["--proxy-threads"]) == (new.drain_time, new.proxy_threads, left)


def test_permissions_that_are_not_asked_for_any_more_take_a_restart() -> None:
    old = replace(OLD, socket_mode=0o660, socket_owner=":web")
    new, left = merged(old, OLD)
    assert (0o660, ":web") == (new.socket_mode, new.socket_owner)
    assert ["--socket-mode", "--socket-owner"] == sorted(left)
