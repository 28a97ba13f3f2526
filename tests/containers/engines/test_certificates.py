"""Certificates for an engine behind TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dewy.containers.engines.client import EngineClient, connected
from dewy.containers.engines.opening import STANDARD, EngineAddress
from dewy.errors import ConfigError, EngineError
from tests.standins.certificates import Authority
from tests.standins.files import FileServer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "new")


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[FileServer]:
    async with FileServer(authority.serving("127.0.0.1")) as server:
        server.files["/_ping"] = b"OK"
        yield server


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """Where Docker's client looks for the authority: an old one."""
    path = tmp_path / "ca.pem"
    path.write_bytes(Authority(tmp_path / "old").cert.read_bytes())
    return path


@pytest.fixture
def renew(ca: Path, authority: Authority) -> Callable[[], None]:
    return lambda: ca.write_bytes(authority.cert.read_bytes())


@pytest.fixture
def spoil(ca: Path) -> Callable[[], None]:
    return lambda: ca.write_bytes(b"nonsense")


@pytest.fixture
async def client(server: FileServer, ca: Path) -> AsyncIterator[EngineClient]:
    place = EngineAddress(server.url)
    environ = {"DOCKER_CERT_PATH": str(ca.parent)}
    async with connected(place, "Docker", environ, STANDARD) as client:
        yield client


async def test_renewed_certificates_are_of_use_after_a_failure(
    client: EngineClient, renew: Callable[[], None]
) -> None:
    """Whoever keeps them changes them without a word to dewy."""
    with pytest.raises(EngineError, match="is not trusted; see DOCKER_CERT_PATH"):
        await client.ping()
    renew()
    with pytest.raises(EngineError):
        await client.ping()

    assert "ETag" in await client.ping()


async def test_certificates_of_no_use_leave_those_there_are(
    client: EngineClient, spoil: Callable[[], None], renew: Callable[[], None]
) -> None:
    spoil()
    with pytest.raises(EngineError):
        await client.ping()
    renew()
    with pytest.raises(EngineError):
        await client.ping()

    assert "ETag" in await client.ping()


async def test_certificates_of_no_use_are_refused_at_the_start(
    server: FileServer, ca: Path, spoil: Callable[[], None]
) -> None:
    spoil()
    environ = {"DOCKER_CERT_PATH": str(ca.parent)}
    with pytest.raises(ConfigError, match="holds no usable keys"):
        async with connected(EngineAddress(server.url), "Docker", environ, STANDARD):
            pass
