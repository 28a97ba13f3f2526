"""What the original got wrong between start and stop, as it has to be."""

from __future__ import annotations

import asyncio
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.state import State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.errors import ArchiveError
from tests.eventually import eventually, turns
from tests.standins import programs, publishing, roots
from tests.standins.agents import acting
from tests.standins.site import Dewy

AUDITED = "shipped_to_*.txt"
# Answers after a while, when it is already being told to stop.
SLOW = programs.PROGRAM.read_text().replace(
    "        writer.write(\n",
    "        Path('asked').touch()\n"
    "        await asyncio.sleep(0.5)\n"
    "        writer.write(\n",
)


async def test_missing_program_fails_deployment_once(tmp_path, unused_tcp_port):
    """Each look used to unpack it again, and to run both hooks again."""
    options = ["--before-deploy-hook", "echo before >> hooks"]
    options += ["--after-deploy-hook", "echo after >> hooks"]
    dewy = Dewy(tmp_path, unused_tcp_port, options=options)
    dewy.program = ("current/shop",)
    dewy.publish("v1.0.0")
    async with dewy:
        assert "current/shop" in await dewy.refuses("v1.0.0")
        await dewy.polls()
        status = await dewy.until(lambda now: now["degraded"])
        assert (None, []) == (status["running"], status["generations"])
        assert ["before"] == (dewy.root / "hooks").read_text().split()
    [record] = await roots.history(dewy.root)

    assert ("v1.0.0", "failed", "start") == (record.tag, record.outcome, record.step)
    assert {} == roots.releases(dewy.root)
    assert not (dewy.root / "current").is_symlink()
    assert [] == [*(dewy.registry / "v1.0.0").glob(AUDITED)]


async def test_starting_again_deploys_nothing(tmp_path, unused_tcp_port):
    """It used to unpack, to run hooks, to tell and to record each time."""
    cache = tmp_path / "a cache" / "to make"
    options = ["--cache", cache.as_uri(), "--after-deploy-hook", "echo >> hooks"]
    dewy = Dewy(tmp_path, unused_tcp_port, options=options)
    dewy.publish("v1.0.0")
    for _ in range(2):
        async with dewy:
            await dewy.runs("v1.0.0")
            await dewy.polls(1)
            assert "v1.0.0" == await dewy.fetch()

    assert ["v1.0.0"] == [*roots.releases(dewy.root).values()]
    assert 1 == len(await roots.history(dewy.root))
    assert "\n" == (dewy.root / "hooks").read_text()
    assert 1 == dewy.log.count("Cached artifact")
    assert 1 == len([*cache.glob("*/v1.0.0--app.tar.gz")])
    assert 1 == len([*(dewy.registry / "v1.0.0").glob(AUDITED)])


async def test_each_slot_has_its_newest_whatever_the_other_has(tmp_path):
    """Also on a host that is new, and on one that starts again."""
    green = Dewy(tmp_path, 0, "assets", options=["--slot", "green"])
    blue = Dewy(tmp_path / "blue", 0, "assets", options=["--slot", "blue"])
    blue.base.mkdir()
    blue.registry_url = f"file://{green.registry}"
    for version in ("v1.0.0+blue", "v1.0.0+green", "v2.0.0+green"):
        green.publish(version)
    for _ in range(2):
        async with green, blue:
            await green.runs("v2.0.0+green")
            await blue.runs("v1.0.0+blue")
            await blue.polls(1)
            assert [] == (await blue.ask("status"))["degraded"]


async def test_shutdown_waits_for_requests_in_progress(tmp_path, unused_tcp_port):
    """Dewy used to be gone before its program had been told."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.publish("v1.0.0", SLOW)
    async with dewy:
        await dewy.runs("v1.0.0")
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(dewy.fetch())
            await eventually((dewy.root / "asked").exists)
            dewy.signal(signal.SIGTERM)
        assert 0 == await dewy.exit_status()

        assert "v1.0.0" == answer.result()
        assert set() == roots.inhabitants(dewy.root)
    assert ["asked"] == roots.strays(dewy.root)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
async def test_signals_meant_for_programs_make_files_be_looked_for(tmp_path, number):
    """Nothing is restarted where nothing runs, and nothing is said to have been."""
    dewy = Dewy(tmp_path, 0, "assets", options=["--interval", "1h"])
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.until(lambda now: now["running"] and now["next_poll"])
        dewy.publish("v1.1.0")
        dewy.signal(number)
        await dewy.runs("v1.1.0")

        assert 0 == await dewy.stop()
    assert "restart" not in dewy.log.lower()


HOOK = "test $DEWY_TAG = v1.0.0 || { touch hooked; sleep 600; }"


@pytest.mark.parametrize("step", ["before-hook", "start"])
async def test_a_deployment_that_is_interrupted_has_not_failed(
    tmp_path, unused_tcp_port, step
):
    """It is begun anew at the next start; what ran before runs until then."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=["--ready", "notify"])
    program = programs.NEVER_READY
    if step == "before-hook":
        program, dewy.options = None, ["--before-deploy-hook", HOOK]
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0", program)
        if step == "before-hook":
            await eventually((dewy.root / "hooked").exists)
        else:
            await dewy.until(
                lambda now: [True] * 2 == [bool(g["pid"]) for g in now["generations"]]
            )
        assert 0 == await dewy.stop()
    assert set() == roots.inhabitants(dewy.root)
    state = await roots.state(dewy.root)

    assert state.running is not None
    assert ("v1.0.0", ()) == (state.running.tag, state.quarantine.entries)
    assert state.running.directory == (dewy.root / "current").resolve().name
    first, second = await roots.history(dewy.root)
    assert ("v1.0.0", "deployed") == (first.tag, first.outcome)
    assert ("v1.1.0", "cancelled", step) == (second.tag, second.outcome, second.step)
    assert "dewy is stopping" == second.reason
    good = programs.tarball(programs.files("v1.1.0"))
    publishing.replace(dewy.registry, "v1.1.0", good)
    dewy.options = []
    async with dewy:
        await dewy.runs("v1.1.0")
    assert {"v1.0.0", "v1.1.0"} == set(roots.releases(dewy.root).values())
    assert {"hooked"} >= set(roots.strays(dewy.root))


async def test_the_deployment_that_mends_things_is_told(tmp_path: Path):
    """After a failure everything used to be silent until the next look."""
    async with acting(tmp_path) as hands:
        hands.publish("v1.0.0")
        await hands.tick()
        hands.publish("v1.1.0", b"no archive")
        with pytest.raises(ArchiveError):
            await hands.tick()
        hands.publish("v1.1.1")
        await hands.tick()

        await eventually(lambda: "Files switched for v1.1.1" in hands.told())
        assert [
            "v1.1.0 failed at unpack",
            "Fetched v1.1.1",
            "Files switched for v1.1.1",
        ] == [text.partition(":")[0] for text in hands.told()[-3:]]


async def test_a_state_that_is_being_written_is_written_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also when whoever wanted it is stopped: two writers would share one draft."""
    private = tmp_path / ".dewy"
    private.mkdir()
    writing, overlaps = 0, []
    write = StateFile.write
    begun, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly(file: StateFile, state: State) -> None:
        nonlocal writing
        writing += 1
        overlaps.append(writing)
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(60)
        write(file, state)
        writing -= 1

    monkeypatch.setattr(StateFile, "write", slowly)
    state_store = StateStore(StateFile(private), State())
    stopped = asyncio.ensure_future(
        state_store.change(lambda state: replace(state, wanted="v1.0.0"))
    )
    await begun.wait()
    stopped.cancel()
    other = asyncio.ensure_future(
        state_store.change(lambda state: replace(state, hold=True))
    )
    await turns()
    # Whatever was given to a thread before has begun by then.
    await asyncio.to_thread(int)
    goes_on.set()
    await asyncio.wait({stopped, other})

    assert [1, 1] == overlaps
    assert state_store.state == await roots.state(tmp_path)
