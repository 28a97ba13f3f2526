from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes.oci import login
from dewy.remotes.oci.credentials import Credentials
from dewy.system import start_time
from tests.eventually import eventually
from tests.needs import needs
from tests.standins.fuse import hung

Program = Callable[[str], Path]

ENVIRON = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes a program of a shell script."""

    def program(script: str) -> Path:
        path = tmp_path / "docker-credential-test"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return program


async def get(path: Path, host: str = "a.io", deadline: float = 30) -> object:
    return await login.ask_helper(path, host, ENVIRON, deadline=deadline)


async def test_login_is_asked_for_by_host(program: Program) -> None:
    script = program(
        """read host; printf '{"Username": "%s", "Secret": "%s"}' "$1" "$host" """
    )

    assert Credentials("get", "a.io") == await get(script)


async def test_docker_hub_goes_by_its_old_name(program: Program) -> None:
    script = program(
        """read host; printf '{"Username": "me", "Secret": "%s"}' "$host" """
    )

    found = await get(script, "docker.io")

    assert Credentials("me", "https://index.docker.io/v1/") == found


async def test_advice_asks_for_docker_hub_by_the_same_name(program: Program) -> None:
    with pytest.raises(
        RemoteError, match=r"echo https://index.docker.io/v1/ [|] docker"
    ):
        await get(program("exit 3"), "docker.io")


async def test_identity_token_is_told_by_its_name(program: Program) -> None:
    script = program("""echo '{"Username": "<token>", "Secret": "t0ken"}'""")

    assert Credentials(token="t0ken") == await get(script)


async def test_nothing_is_held(program: Program) -> None:
    script = program("echo 'credentials not found in native keychain'; exit 1")

    assert await get(script) is None


async def test_empty_secret_is_nothing(program: Program) -> None:
    assert await get(program("""echo '{"Username": "", "Secret": ""}'""")) is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo s3cret; exit 3", "exit status 3"),
        ("echo s3cret", "did not answer with a login"),
        ("echo '[\"s3cret\"]'", "did not answer with a login"),
        ("kill -9 $$", "was ended by signal 9"),
    ],
)
async def test_failure_is_told_without_its_words(
    program: Program, script: str, message: str
) -> None:
    """They may be the secret."""
    with pytest.raises(RemoteError, match=message) as caught:
        await get(program(script))

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_program_that_cannot_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="can't be run"):
        await get(tmp_path / "docker-credential-none")


def alive(pid: Path) -> bool:
    """Whether the process whose number is in *pid* still runs."""
    stat = Path("/proc", pid.read_text().strip(), "stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_hanging_credential_helper_is_killed_with_children(
    program: Program, tmp_path: Path
) -> None:
    script = program(f"sleep 600 & echo $! > {tmp_path}/pid; wait")

    with pytest.raises(RemoteError, match=r"took longer than 0\.5 s"):
        await get(script, deadline=0.5)

    if (tmp_path / "pid").exists():
        await eventually(lambda: not alive(tmp_path / "pid"))


async def test_credential_helper_is_killed_on_cancellation(
    program: Program, tmp_path: Path
) -> None:
    script = program(f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; cat")
    script.write_text(script.read_text() + "sleep 600\n")
    asking = asyncio.create_task(get(script))
    await eventually((tmp_path / "pid").exists)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking

    await eventually(lambda: not alive(tmp_path / "pid"))


@needs("fuse")
async def test_program_that_nothing_can_kill_is_left_behind(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "KILL_TIMEOUT", 0.5)
    directory = tmp_path / "hung"
    directory.mkdir()
    script = program(f"echo $$ > {tmp_path}/pid; exec cat {directory}/file")
    with hung(directory):
        with pytest.raises(RemoteError, match="took longer than 3 s"):
            await get(script, deadline=3)

        pid = int((tmp_path / "pid").read_text())
        assert start_time(pid) is not None
    await eventually(lambda: start_time(pid) is None)
