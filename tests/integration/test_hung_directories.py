"""A directory that hangs for ever holds up nothing but what needs it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.needs import needs
from tests.standins.fuse import hung, hung_threads
from tests.standins.roots import say
from tests.standins.site import Dewy

pytestmark = needs("fuse")

SHUTDOWN = 25.0


@pytest.fixture
async def dewy(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Dewy]:
    """v1.1.0 runs, v1.0.0 ran before; the cache is a directory elsewhere."""
    cache = tmp_path / "cache"
    cache.mkdir()
    dewy = Dewy(
        tmp_path,
        unused_tcp_port,
        options=("--probation", "0", "--cache", cache.as_uri()),
    )
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")
        yield dewy


async def hangs(dewy: Dewy) -> None:
    """Wait until the registry is being looked at, and does not answer."""
    assert dewy.process is not None
    children = Path(f"/proc/{dewy.process.pid}/task/{dewy.process.pid}/children")

    def stuck() -> bool:
        return any(hung_threads(pid) for pid in children.read_text().split())

    await eventually(stuck)


async def told(dewy: Dewy, *command: str) -> str:
    said = await say(dewy.root, *command)
    assert 0 == said.status, said.err
    return said.out


async def test_hung_registry_does_not_keep_a_dead_program_down(dewy: Dewy) -> None:
    """However often it is looked at."""
    with hung(dewy.registry):
        await hangs(dewy)
        for _ in range(3):
            [generation] = (await dewy.runs("v1.1.0"))["generations"]
            os.kill(generation["pid"], signal.SIGKILL)
            await dewy.until(
                lambda now, old=generation: (
                    [each["pid"] for each in now["generations"]]
                    not in ([], [old["pid"]])
                )
            )
            assert "v1.1.0" == await dewy.fetch()
        status = await dewy.until(lambda now: "hangs since" in str(now))
    assert status
    await dewy.until(lambda now: "hangs since" not in str(now))


async def test_verbs_work_while_the_registry_hangs(dewy: Dewy) -> None:
    with hung(dewy.registry):
        await hangs(dewy)

        assert "v1.1.0" in await told(dewy, "status")
        assert "v1.1.0" in await told(dewy, "history")
        assert "held at v1.1.0" in await told(dewy, "hold")
        assert "rolled back to v1.0.0" in await told(dewy, "rollback")
        assert "v1.0.0" == await dewy.fetch()


@pytest.mark.parametrize("place", ["registry", "cache"])
async def test_stop_signal_ends_dewy_while_a_directory_hangs(
    dewy: Dewy, place: str
) -> None:
    with hung(dewy.base / place):
        dewy.publish("v1.2.0") if place == "cache" else None
        await hangs(dewy)
        begun = time.monotonic()

        assert 0 == await dewy.stop()

        assert time.monotonic() - begun < SHUTDOWN + 5


async def test_program_starts_though_every_directory_hangs(dewy: Dewy) -> None:
    """At boot, too, nothing looks at them before the program serves."""
    await dewy.stop()
    with hung(dewy.registry), hung(dewy.base / "cache"):
        await dewy.start(publishes=False)
        await dewy.runs("v1.1.0")
        assert "v1.1.0" == await dewy.fetch()

        assert 0 == await dewy.stop()


async def test_hung_home_holds_up_neither_programs_nor_verbs_nor_the_end(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """Each notice of a webhook looks for a login in `.netrc`."""
    home = tmp_path / "home"
    home.mkdir()
    nobody = f"http://127.0.0.1:{unused_tcp_port_factory()}/x"
    dewy = Dewy(
        tmp_path,
        unused_tcp_port_factory(),
        options=("--probation", "0", "--notifier", nobody),
        variables={"HOME": str(home)},
    )
    dewy.publish("v1.0.0")
    with hung(home):
        async with dewy:
            await dewy.runs("v1.0.0")
            await hangs(dewy)
            dewy.publish("v1.1.0")
            [generation] = (await dewy.runs("v1.1.0"))["generations"]
            os.kill(generation["pid"], signal.SIGKILL)
            await dewy.until(
                lambda now: (
                    [each["pid"] for each in now["generations"]]
                    not in ([], [generation["pid"]])
                )
            )
            assert "rolled back to v1.0.0" in await told(dewy, "rollback")
            assert dewy.process is not None
            assert [] == hung_threads(dewy.process.pid)
            begun = time.monotonic()

            assert 0 == await dewy.stop()

            assert time.monotonic() - begun < SHUTDOWN + 5
