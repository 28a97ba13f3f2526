"""Logins of `.netrc`: read beside dewy, for requests that show nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.remotes import http, netrc
from tests.needs import needs
from tests.standins.files import Fault, FileServer
from tests.standins.fuse import hung, hung_threads

MINE = "Basic bWU6bWluZQ=="


async def shown(server: FileServer) -> str | None:
    """Ask once; return the login that came along."""
    async with http.session() as session, session.get(server.url):
        pass
    return server.seen[-1].headers.get("Authorization")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("content", "login"),
    [
        ("machine 127.0.0.1 login me password mine\n", MINE),
        ("default login me password mine\n", MINE),
        ("machine other login me password mine\n", None),
        ("nonsense\n", None),
        (None, None),
    ],
)
async def test_login_is_that_of_the_host(
    server: FileServer, home: Path, content: str | None, login: str | None
) -> None:
    if content:
        (home / ".netrc").write_text(content)

    assert login == await shown(server)


async def test_user_without_home_directory_has_no_login(
    server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any number of a user in a container."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 0x7FFFFFF0)

    assert await shown(server) is None


@pytest.mark.parametrize("content", [b"nonsense\n", b"machine \xff login me\n"])
async def test_file_without_logins_is_told_in_words(
    server: FileServer, home: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (home / ".netrc").write_bytes(content)
    await shown(server)

    (record,) = (each for each in caplog.records if each.msg == "Logins not read")
    assert "it does not hold logins" == getattr(record, "error", "")


async def test_file_that_was_named_is_missed(
    server: FileServer,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("NETRC", str(home / "none"))

    assert await shown(server) is None
    assert "Logins not read" in caplog.text


async def test_damaged_file_is_not_quoted(
    server: FileServer, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 passw0rd s3cret\n")
    await shown(server)

    assert "Logins not read" in caplog.text
    assert "passw0rd" not in caplog.text


async def test_damaged_file_is_told_once(
    server: FileServer,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though it is looked at again."""
    monkeypatch.setattr(netrc, "MISSED", 0.0)
    (home / ".netrc").write_text("nonsense\n")
    for _ in range(3):
        await shown(server)

    assert ["Logins not read"] == caplog.messages


async def test_login_that_was_refused_is_looked_up_again(
    server: FileServer, home: Path
) -> None:
    """One that was not, and its absence, is remembered for minutes."""
    file = home / ".netrc"
    file.write_text("machine 127.0.0.1 login me password old\n")
    await shown(server)
    file.write_text("machine 127.0.0.1 login me password mine\n")

    assert MINE != await shown(server)
    server.faults = [Fault(status=401)]
    await shown(server)
    assert MINE == await shown(server)


@needs("fuse")
async def test_hung_home_keeps_no_request_and_no_thread(
    server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it answers again, its logins are found."""
    monkeypatch.setattr(netrc, "MISSED", 0.0)
    (home / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    with hung(home):
        assert [None] * 3 == await asyncio.gather(*[shown(server) for _ in range(3)])
        assert [] == hung_threads()
    async with asyncio.timeout(30):
        while await shown(server) != MINE:
            pass
