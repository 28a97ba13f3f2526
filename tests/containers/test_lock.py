"""Two dewys do not keep the same containers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from dewy.containers.application import Application
from dewy.containers.engines.opening import open_engine
from dewy.containers.lock import engine_lock
from dewy.errors import RootBusy
from tests.standins.engines import RealEngine, tcp_door

SHOP = Application("shop", "registry.test/acme/shop")
NOBODY = 65534

ANOTHER = """
import asyncio, sys
from pathlib import Path
from dewy.containers.application import Application
from dewy.containers.lock import engine_lock
from dewy.errors import RootBusy
async def main():
    try:
        async with engine_lock(sys.argv[1], Application(*sys.argv[2:4]), Path("/")):
            print("locked")
    except RootBusy as exc:
        print(exc)
asyncio.run(main())
"""


@pytest.fixture
def identity(tmp_path: Path) -> str:
    """Of an engine that no other test has."""
    return f"docker {tmp_path}"


async def test_second_dewy_is_told_the_root_of_the_first(identity: str, tmp_path: Path):
    async with engine_lock(identity, SHOP, tmp_path):
        with pytest.raises(RootBusy, match="kept by the dewy in /") as refused:
            await _enter(identity)

    assert f"{tmp_path};" in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_second_dewy_of_a_root_is_told_so(identity: str, tmp_path: Path):
    """Another name would not help: one root has one dewy."""
    async with engine_lock(identity, SHOP, tmp_path):
        with pytest.raises(RootBusy, match=f"another dewy works in {tmp_path};"):
            async with engine_lock(identity, SHOP, tmp_path):
                pass


async def _enter(identity: str, application: Application = SHOP) -> None:
    async with engine_lock(identity, application, Path()):
        pass


async def test_lock_is_free_after_its_holder(identity: str):
    for _ in range(2):
        await _enter(identity)


async def test_refused_dewy_does_not_release_the_lock(identity: str):
    async with engine_lock(identity, SHOP, Path()):
        for _ in range(2):
            with pytest.raises(RootBusy):
                await _enter(identity)


@pytest.mark.parametrize(
    ("other", "application"),
    [
        ("elsewhere", SHOP),
        ("", Application("shop", "registry.test/other/shop")),
        ("", Application("other", SHOP.repository)),
    ],
)
async def test_other_engines_and_applications_are_not_locked(
    identity: str, other: str, application: Application
):
    async with engine_lock(identity, SHOP, Path()):
        await _enter(identity + other, application)


async def test_silent_holder_still_refuses(
    identity: str, monkeypatch: pytest.MonkeyPatch
):
    """A holder that hangs, say."""
    monkeypatch.setattr("dewy.containers.lock.PATIENCE", 0.1)
    name = "\0dewy-hangs"
    monkeypatch.setattr("dewy.containers.lock._name", lambda engine, application: name)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(name)
        silent.listen()

        with pytest.raises(RootBusy, match="kept by the dewy in another root"):
            await _enter(identity)


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
async def test_lock_is_the_same_for_every_user(identity: str, tmp_path: Path):
    async with engine_lock(identity, SHOP, tmp_path):
        told = await _as_nobody(identity)

    assert f"kept by the dewy in {tmp_path}" in told


async def _as_nobody(identity: str) -> str:
    # Only root may look into the source's directory, so its modules come first.
    program = f"import os\nfrom dewy.containers import lock\nos.setuid({NOBODY})\n"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program + ANOTHER),
        *(identity, SHOP.name, SHOP.repository),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await child.communicate()
    return told.decode()


async def test_engine_is_the_same_by_socket_and_by_tcp(engine: RealEngine):
    variable = next(iter(engine.environ))
    async with (
        tcp_door(engine.environ[variable]) as door,
        open_engine(engine.runtime, {variable: door}) as other,
    ):
        assert engine.engine.identity == other.identity
        assert engine.engine.address != other.address
