"""Authorities that are renewed while dewy runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes import http
from dewy.remotes.authorities import Authorities
from tests.standins.certificates import Authority
from tests.standins.files import FileServer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "new")


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[FileServer]:
    async with FileServer(authority.serving("127.0.0.1")) as server:
        server.files["/file"] = b"x"
        yield server


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authorities of this host: an old one."""
    path = tmp_path / "bundle.pem"
    path.write_bytes(Authority(tmp_path / "old").cert.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def renewed(bundle: Path, authority: Authority) -> Callable[[], None]:
    """Puts a new authority of the same name in its place."""
    return lambda: bundle.write_bytes(authority.cert.read_bytes())


@pytest.fixture
def removed(bundle: Path) -> None:
    bundle.unlink()


async def get(url: str) -> bytes:
    with http.translated("127.0.0.1"):
        async with http.session() as session, session.get(url) as response:
            return await response.read()


async def test_renewed_bundle_is_read_after_distrust(
    server: FileServer, bundle: Path, renewed: Callable[[], None]
) -> None:
    """Within the same request; sessions of one process share it."""
    with pytest.raises(RemoteError, match="could not be trusted"):
        await get(f"{server.url}/file")

    renewed()

    assert b"x" == await get(f"{server.url}/file")


async def test_bundle_that_has_not_changed_is_not_read_again(
    server: FileServer, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        with pytest.raises(RemoteError, match="could not be trusted"):
            await get(f"{server.url}/file")

    assert [] == caplog.messages


@pytest.mark.usefixtures("removed")
async def test_missing_bundle_leaves_distrust(server: FileServer) -> None:
    with pytest.raises(RemoteError, match="could not be trusted"):
        await get(f"{server.url}/file")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), ("no certificate", "holds no certificates")],
)
async def test_file_that_is_named_in_vain_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: str | None,
    reason: str,
) -> None:
    """OpenSSL passes over it, and trusts nobody it names."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    await Authorities().load()

    [record] = caplog.records
    assert "Certificate authorities not read" == record.message
    assert reason in record.error
    assert str(file) == record.file
