from __future__ import annotations

import base64
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.errors import ConfigError, Missing, RemoteError
from dewy.release import Release
from dewy.remotes import Clients
from tests.standins.files import Fault, FileServer

LOGIN = "Basic " + base64.b64encode(b"me:s3cret").decode()


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with FileServer() as server:
        server.files["/v1/app.tgz"] = b"bytes"
        server.files["/v1/app.tgz.sha256"] = b"sums"
        yield server


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with Clients() as clients:
        yield clients


def release(server: FileServer, query: str = "", login: str = "") -> Release:
    host = server.url.removeprefix("http://")
    return Release("v1", f"http://{login}{host}/v1/app.tgz{query}", "one")


def content(path: Path) -> bytes:
    """What was fetched."""
    return path.read_bytes()


def ignore(done: int, total: int | None) -> None:
    pass


async def test_file_is_fetched(
    server: FileServer, clients: Clients, tmp_path: Path
) -> None:
    """From an address with a port, as any."""
    wanted = release(server)

    await ARTIFACTS.open(wanted.artifact_url, clients).fetch(
        wanted, tmp_path / "file", ignore
    )

    assert b"bytes" == content(tmp_path / "file")


async def test_published_length_is_required(
    server: FileServer, clients: Clients, tmp_path: Path
) -> None:
    """Where the registry told one."""
    wanted = release(server)
    sized = Release(wanted.tag, wanted.artifact_url, "one", size=6)

    with pytest.raises(RemoteError, match="offers 5 bytes where 6 were published"):
        await ARTIFACTS.open(wanted.artifact_url, clients).fetch(
            sized, tmp_path / "file", ignore
        )


async def test_sibling_url_keeps_directory_and_query(
    server: FileServer, clients: Clients
) -> None:
    """With the same query, which may be what lets us in."""
    wanted = release(server, "?token=s3cret")
    store = ARTIFACTS.open(wanted.artifact_url, clients)

    assert b"sums" == await store.read(wanted, "app.tgz.sha256", 4)
    assert "/v1/app.tgz.sha256?token=s3cret" == server.seen[0].path


async def test_missing_sibling_is_named(server: FileServer, clients: Clients) -> None:
    """Together with the host."""
    wanted = release(server)
    store = ARTIFACTS.open(wanted.artifact_url, clients)

    with pytest.raises(RemoteError, match=r"^127\.0\.0\.1 .* no file SHA256SUMS$"):
        await store.read(wanted, "SHA256SUMS", 4)


async def test_compressed_sibling_response_is_decoded(
    server: FileServer, clients: Clients
) -> None:
    """Its lines are compared; packed, they would be no checksum file at all."""
    wanted = release(server)
    server.faults = [
        Fault(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"sums"))
    ]

    store = ARTIFACTS.open(wanted.artifact_url, clients)
    assert b"sums" == await store.read(wanted, "app.tgz.sha256", 4)


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_server_is_asked_again_for_a_sibling(
    server: FileServer, clients: Clients, status: int
) -> None:
    """Else the artifact would be fetched again for it."""
    wanted = release(server)
    server.faults = [Fault(status=status, headers={"Retry-After": "1"})]

    store = ARTIFACTS.open(wanted.artifact_url, clients)
    assert b"sums" == await store.read(wanted, "app.tgz.sha256", 4)
    assert 2 == len(server.seen)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_sibling_that_is_not_shown_is_missing(
    server: FileServer, clients: Clients, status: int
) -> None:
    """Stores behind signed URLs say 403 of what is not there."""
    wanted = release(server)
    server.faults = [Fault(status=status)]
    store = ARTIFACTS.open(wanted.artifact_url, clients)

    with pytest.raises(Missing, match=str(status)):
        await store.read(wanted, "SHA256SUMS", 4)


async def test_large_sibling_is_not_read(server: FileServer, clients: Clients) -> None:
    """The limit is the caller's."""
    wanted = release(server)
    store = ARTIFACTS.open(wanted.artifact_url, clients)

    with pytest.raises(RemoteError, match=r"app\.tgz\.sha256 exceeds 3 bytes"):
        await store.read(wanted, "app.tgz.sha256", 3)


@pytest.mark.parametrize("name", ["../v0/app.tgz", "/etc/passwd", "..", "."])
async def test_sibling_is_no_path(
    server: FileServer, clients: Clients, name: str
) -> None:
    """It is asked for beside the artifact or not at all."""
    wanted = release(server)
    with pytest.raises(RemoteError, match="is not the name of a file"):
        await ARTIFACTS.open(wanted.artifact_url, clients).read(wanted, name, 4)

    assert [] == server.seen


async def test_login_in_the_url_is_used_and_not_told(
    server: FileServer,
    clients: Clients,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither in messages nor in logs nor by its representation."""
    caplog.set_level("DEBUG")
    wanted = release(server, "?key=s3cret", login="me:s3cret@")
    store = ARTIFACTS.open(wanted.artifact_url, clients)
    await store.fetch(wanted, tmp_path / "file", ignore)
    server.faults = [Fault(status=403)]

    with pytest.raises(RemoteError, match="403") as caught:
        await store.fetch(wanted, tmp_path / "other", ignore)

    assert LOGIN == server.seen[0].headers["Authorization"]
    assert "s3cret" not in f"{caught.value}{store!r}{caplog.text}"


async def test_login_may_be_in_netrc(
    server: FileServer,
    clients: Clients,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no list of processes shows it; it goes to no host it is not for."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    wanted = release(server)

    await ARTIFACTS.open(wanted.artifact_url, clients).fetch(
        wanted, tmp_path / "file", ignore
    )

    assert LOGIN == server.seen[0].headers["Authorization"]


async def test_login_in_the_url_stays_with_its_origin(
    server: FileServer, clients: Clients, tmp_path: Path
) -> None:
    """A redirect elsewhere gets the request without it."""
    async with FileServer() as other:
        other.files["/app.tgz"] = b"bytes"
        server.redirects["/v1/app.tgz"] = f"{other.url}/app.tgz"
        wanted = release(server, login="me:s3cret@")

        await ARTIFACTS.open(wanted.artifact_url, clients).fetch(
            wanted, tmp_path / "file", ignore
        )

        assert "Authorization" in server.seen[0].headers
        assert "Authorization" not in other.seen[0].headers


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "https://example.com/dir/", "https:///file", "http://?a=b"],
)
def test_url_names_a_file(url: str) -> None:
    """Or is refused when it is opened."""
    with pytest.raises(ConfigError, match="https://HOST/PATH/FILE"):
        ARTIFACTS.open(url, Clients())
