"""Ports and backends, as the settings have them."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Endpoint, HostName, Settings
from dewy.errors import ConfigError, DewyError
from dewy.proxy import Proxy, frontend
from dewy.proxy.frontend import Frontend
from tests.eventually import eventually
from tests.proxy.conftest import Applications, Stream, ask, asked, connect

LOOPBACK = Endpoint("127.0.0.1", 0)


def settings(**given: Any) -> Settings:
    root = Path("/")
    return Settings(command="proxy", root=root, cache_dir=root, **given)


@pytest.fixture
async def fronted(proxy: Proxy) -> AsyncIterator[Any]:
    """Opens a frontend, with one port unless asked otherwise."""
    made = []

    async def opened(**given: Any) -> Frontend:
        made.append(Frontend(proxy, settings(**{"listen": (LOOPBACK,), **given})))
        await made[-1].open(())
        return made[-1]

    yield opened
    for each in made:
        await each.stop()


async def served(found: Frontend, endpoint: Endpoint, name: str) -> Stream:
    stream = await connect(found.pools[endpoint].port)
    assert name == await ask(stream)
    return stream


async def test_backends_change_without_losing_a_connection(
    fronted: Any, application: Applications
) -> None:
    old, new = await application("old"), await application("new")
    found = await fronted(backends=(old.endpoint,))
    stream = await served(found, LOOPBACK, "old")
    await found.apply(replace(found.settings, backends=(new.endpoint,)))
    assert "new" == await asked(found.pools[LOOPBACK].port)
    assert "old" == await ask(stream)
    stream[1].close()


async def test_ports_change_without_losing_a_connection(
    fronted: Any, application: Applications, tmp_path: Path
) -> None:
    """One that is closed is forgotten after its last."""
    endpoint = (await application("it")).endpoint
    found = await fronted(backends=(endpoint,))
    stream = await served(found, LOOPBACK, "it")
    there = Endpoint("127.0.0.2", 0)
    await found.apply(replace(found.settings, listen=(there,)))
    assert {there} == found.pools.keys()
    assert "it" == await asked(found.pools[there].port)
    assert "it" == await ask(stream)
    assert 2 == len(found.proxy.ports)
    stream[1].close()
    await eventually(lambda: 1 == len(found.proxy.ports))


async def test_port_that_cannot_be_opened_changes_nothing(
    fronted: Any, application: Applications
) -> None:
    endpoint = (await application("it")).endpoint
    found = await fronted(backends=(endpoint,))
    wanted = (LOOPBACK, Endpoint("127.0.0.2", 0), Endpoint("192.0.2.1", 1))
    with pytest.raises(DewyError, match="cannot be opened"):
        await found.apply(
            replace(found.settings, listen=wanted, backends=(Endpoint("127.0.0.1", 1),))
        )
    assert {LOOPBACK} == found.pools.keys()
    assert "it" == await asked(found.pools[LOOPBACK].port)


async def test_host_names_are_looked_up_again(
    fronted: Any, application: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backends follow their names."""
    monkeypatch.setattr(frontend, "LOOKUP_INTERVAL", 0.01)
    old, new = await application("old"), await application("new")
    found = await fronted(backends=(HostName("localhost", old.endpoint.port),))
    port = found.pools[LOOPBACK].port
    assert "old" == await asked(port)

    async def moved(*_: object) -> list[Endpoint]:
        return [new.endpoint]

    monkeypatch.setattr(found._resolver, "addresses", moved)
    looking = asyncio.create_task(found.keep_resolving())
    await eventually(lambda: [new.endpoint] == [e.endpoint for e in port.serving])
    looking.cancel()
    await asyncio.wait([looking])
    assert "new" == await asked(port)


async def test_unresolvable_backend_name_is_an_error_at_start(
    fronted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the pen, or a network that is not there yet: try again."""

    async def nothing(*_: object) -> list[Endpoint]:
        return []

    monkeypatch.setattr(frontend.Resolver, "addresses", nothing)
    with pytest.raises(DewyError, match="no backend can be looked up: app:80"):
        await fronted(backends=(HostName("app", 80),))


async def test_reload_with_unresolvable_backend_keeps_old_backends(
    fronted: Any, application: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the pen must not turn all clients away."""
    endpoint = (await application("it")).endpoint
    found = await fronted(backends=(endpoint,))

    async def nothing(*_: object) -> list[Endpoint]:
        return []

    monkeypatch.setattr(frontend.Resolver, "addresses", nothing)
    new = replace(found.settings, backends=(HostName("app", 80),))
    with pytest.raises(DewyError, match="no backend can be looked up: app:80"):
        await found.apply(new)
    assert (endpoint,) == found.settings.backends
    assert "it" == await asked(found.pools[LOOPBACK].port)


async def test_slow_lookup_of_former_backends_does_not_bring_them_back(
    fronted: Any, application: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before a reload, and ends after that."""
    old, new = await application("old"), await application("new")
    found = await fronted(backends=(old.endpoint,))
    begun, answered = asyncio.Event(), asyncio.Event()
    usual = frontend.Resolver.addresses

    async def slow(self: Any, backends: Any) -> list[Endpoint]:
        if old.endpoint in backends:
            begun.set()
            await answered.wait()
        return await usual(self, backends)

    monkeypatch.setattr(frontend.Resolver, "addresses", slow)
    looking = asyncio.create_task(found.resolve())
    await begun.wait()
    await found.apply(replace(found.settings, backends=(new.endpoint,)))
    answered.set()
    await looking
    assert "new" == await asked(found.pools[LOOPBACK].port)


async def test_reload_gives_socket_files_their_new_mode(
    fronted: Any, application: Applications, tmp_path: Path
) -> None:
    listen = (Endpoint(path=str(tmp_path / "socket")),)
    endpoint = (await application("it")).endpoint
    found = await fronted(listen=listen, backends=(endpoint,), socket_mode=0o600)
    await found.apply(replace(found.settings, socket_mode=0o660))
    assert 0o660 == stat.S_IMODE((tmp_path / "socket").stat().st_mode)


async def test_reload_to_an_owner_that_does_not_exist_changes_nothing(
    fronted: Any, application: Applications, tmp_path: Path
) -> None:
    """No port is left open by it."""
    listen = (Endpoint(path=str(tmp_path / "socket")),)
    endpoint = (await application("it")).endpoint
    found = await fronted(listen=listen, backends=(endpoint,))
    new = replace(
        found.settings, listen=(*listen, LOOPBACK), socket_owner="nobody-of-that-name"
    )
    with pytest.raises(ConfigError, match="there is no user nobody-of-that-name"):
        await found.apply(new)
    assert {*listen} == found.pools.keys()
    await eventually(lambda: 1 == len(found.proxy.ports))


async def test_pause_of_a_proxy_that_drains_changes_nothing(
    fronted: Any, application: Applications
) -> None:
    found = await fronted(backends=((await application("it")).endpoint,))
    stream = await served(found, LOOPBACK, "it")
    await found.proxy.close(found.pools[LOOPBACK].port)
    found.pause()
    found.resume()
    assert "it" == await ask(stream)
    stream[1].close()


async def test_other_address_of_an_own_port_takes_a_restart(
    fronted: Any, application: Applications, unused_tcp_port: int
) -> None:
    """And the proxy does not tell to stop itself."""
    wide = Endpoint("", unused_tcp_port)
    found = await fronted(
        listen=(wide,), backends=((await application("it")).endpoint,)
    )
    narrow = Endpoint("127.0.0.1", unused_tcp_port)
    with pytest.raises(DewyError, match=rf"at {unused_tcp_port}; .* restart it"):
        await found.apply(replace(found.settings, listen=(narrow,)))
    stream = await asyncio.open_connection(*narrow.address)
    assert "it" == await ask(stream)
    stream[1].close()


async def test_backend_name_is_unresolved_while_lookup_fails(
    fronted: Any, application: Applications
) -> None:
    app, lost = await application("app"), HostName("nowhere.invalid", 80)
    found = await fronted(backends=(app.endpoint, lost))
    assert {lost: []} == found.unresolved()
    await found.apply(replace(found.settings, backends=(app.endpoint,)))
    assert {} == found.unresolved()
