"""Roots: whose they are, what starts in them, and what cannot."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from dewy.deploy.rebuild import deployed_at
from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.roots import say
from tests.standins.site import Dewy

STAMP = "20240506T070809Z"
NOWHERE = "file:///nonexistent"


def left_by_the_original(root: Path, version: str, *, absolute: bool = True) -> None:
    """A root as the Go program leaves it: no state, a link, and the cache's key."""
    content = programs.files(version)
    target = programs.unpacked(root / "releases" / STAMP, content)
    (root / "current").symlink_to(target if absolute else f"releases/{STAMP}")
    cached_by_the_original(root / ".dewy/cache", version, programs.tarball(content))


def cached_by_the_original(cache: Path, version: str, artifact: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / f"{version}--app.tar.gz").write_bytes(artifact)
    (cache / "current").write_text(f"{version}--app.tar.gz")
    unpacked_at = deployed_at(STAMP) or 0.0
    os.utime(cache / "current", (unpacked_at, unpacked_at))


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
async def test_a_root_of_the_original_starts_its_release(
    tmp_path, unused_tcp_port, absolute
):
    """It is not deployed again, and what is new takes over as usual."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    left_by_the_original(dewy.root, "v1.0.0", absolute=absolute)
    dewy.publish("v1.0.0")
    async with dewy:
        status = await dewy.until(lambda now: now["running"] and now["last_poll"])
        assert STAMP == status["running"]["directory"]
        assert "v1.0.0" == await dewy.fetch()
        assert [] == await roots.history(dewy.root)
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")
        assert "v1.1.0" == await dewy.fetch()


@pytest.mark.parametrize("command", ["server", "assets"])
async def test_a_root_of_the_original_needs_no_registry(
    tmp_path, unused_tcp_port, command
):
    """Its release runs, is known by its version, and can be held."""
    port = unused_tcp_port if command == "server" else 0
    dewy = Dewy(tmp_path, port, command, registry_url=NOWHERE)
    left_by_the_original(dewy.root, "v1.0.0")
    async with dewy:
        status = await dewy.until(lambda now: now["last_error"])
        assert "v1.0.0" == status["running"]["tag"]
        assert STAMP == (dewy.root / "current").resolve().name
        if port:
            assert "v1.0.0" == await dewy.fetch()
        said = await say(dewy.root, "hold")
        assert "held at v1.0.0" in said.out


async def test_a_root_of_the_original_without_its_link_starts_from_its_cache(
    tmp_path, unused_tcp_port
):
    """Better than nothing while the registry is away."""
    dewy = Dewy(tmp_path, unused_tcp_port, registry_url=NOWHERE)
    artifact = programs.tarball(programs.files("v1.0.0"))
    cached_by_the_original(dewy.root / ".dewy/cache", "v1.0.0", artifact)
    async with dewy:
        await dewy.runs("v1.0.0")
        assert "v1.0.0" == await dewy.fetch()


async def test_foreign_artifact_cached_by_original_is_not_started(
    tmp_path, unused_tcp_port
):
    """A shared cache's key `current` was any application's, and started by all."""
    shared = tmp_path / "shared"
    foreign = programs.tarball(programs.files("v9.0.0"))
    cached_by_the_original(shared, "v9.0.0", foreign)
    dewy = Dewy(tmp_path, unused_tcp_port, variables={"DEWY_CACHEDIR": str(shared)})
    async with dewy:
        status = await dewy.until(lambda now: now["last_poll"])
        assert (None, []) == (status["running"], status["generations"])
        dewy.publish("v1.0.0")
        await dewy.runs("v1.0.0")


async def test_second_dewy_in_same_root_exits_with_error(tmp_path, unused_tcp_port):
    """The first is not disturbed."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.publish("v1.0.0")
    async with dewy:
        before = await dewy.runs("v1.0.0")
        said = await say(dewy.root, *dewy.arguments()[3:])

        assert 1 == said.status
        last = said.err.splitlines()[-1]
        assert f"dewy with pid {dewy.process.pid} works in {dewy.root}" in last
        after = await dewy.runs("v1.0.0")
        assert before["generations"][0]["pid"] == after["generations"][0]["pid"]
        assert "v1.0.0" == await dewy.fetch()
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")


@pytest.mark.parametrize(
    "command",
    [
        ["--version"],
        ["--help"],
        ["check", "--registry", NOWHERE],
        ["status"],
        ["status", "--json"],
        ["history"],
        ["hold"],
        ["rollback"],
    ],
    ids=" ".join,
)
async def test_looking_creates_nothing(tmp_path, command):
    """Every invocation used to make `.dewy/cache` where it was said."""
    await say(tmp_path, *command)

    assert [] == os.listdir(tmp_path)


async def test_check_reports_release_to_be_deployed(tmp_path):
    dewy = Dewy(tmp_path)
    dewy.publish("v1.0.0")
    dewy.root.mkdir()
    said = await say(dewy.root, "check", *dewy.arguments()[4:])

    assert (0, "release:  v1.0.0") == (said.status, said.out.splitlines()[0])
    assert [] == os.listdir(dewy.root)


ASSETS = ["assets", "--registry", NOWHERE]
SERVER = ["server", "--registry", NOWHERE]


@pytest.mark.parametrize(
    "command",
    [
        ["assets"],
        SERVER,
        [*ASSETS, "--interval", "0"],
        [*ASSETS, "--notifier", "slack"],
        [*SERVER, "--health-path", "/up", "--", "true"],
        ["assets", "--registry", "gopher://x"],
        ["assets", "--registry", "ghr://owner"],
        ["assets", "--registry", f"{NOWHERE}?frobnicate=1"],
    ],
    ids=" ".join,
)
async def test_misuse_yields_single_line_error_and_creates_no_files(tmp_path, command):
    """It used to be a stack trace, at the first poll or at the end."""
    said = await say(tmp_path, *command)

    assert (2, "") == (said.status, said.out)
    assert said.err.startswith("dewy: error: ")
    assert 1 == said.err.count("\n")
    assert [] == os.listdir(tmp_path)


async def test_port_in_use_error_names_pid_of_holder(tmp_path):
    """The exit status says that it failed, so that a service manager tries again."""
    dewy = Dewy(tmp_path, options=["--stop-timeout", "100ms"])
    dewy.publish("v1.0.0")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        dewy.port = holder.getsockname()[1]
        dewy.root.mkdir()
        said = await say(dewy.root, *dewy.arguments()[3:])

    assert 1 == said.status
    assert f"(pid {os.getpid()})" in said.err.splitlines()[-1]
    assert not (dewy.root / "releases").exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 99}', b"\xff"])
async def test_broken_state_is_set_aside_and_current_release_serves(
    tmp_path, unused_tcp_port, content
):
    """What it held is there for whoever mends it, and status says so until then."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.root.mkdir()
    await roots.deployed(dewy.root, "v1.0.0")
    private = dewy.root / ".dewy"
    (private / "state.json").write_bytes(content)
    async with dewy:
        status = await dewy.until(
            lambda now: ["serving"] == [each["state"] for each in now["generations"]]
        )
        assert "v1.0.0" == await dewy.fetch()
        [kept] = private.glob("state.json.broken-*")
        assert any(str(kept) in reason for reason in status["degraded"])
        assert "State set aside" in dewy.log
    assert content == kept.read_bytes()
    offline = await say(dewy.root, "status")
    assert str(kept) in offline.out


async def test_a_running_release_that_was_removed_by_hand(tmp_path, unused_tcp_port):
    """The previous one serves until the registry brings it again."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")
    shutil.rmtree((dewy.root / "current").resolve())
    dewy.registry.rename(tmp_path / "away")
    async with dewy:
        await dewy.runs("v1.0.0")
        assert "v1.0.0" == await dewy.fetch()
        dewy.registry.rmdir()
        (tmp_path / "away").rename(dewy.registry)
        await dewy.runs("v1.1.0")
        assert "v1.1.0" == await dewy.fetch()


@pytest.mark.parametrize("held", [True, False])
async def test_running_release_removed_by_hand_makes_way_when_its_program_dies(
    tmp_path, unused_tcp_port, held
):
    """Nothing was served until the registry was back; under hold, too."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=("--probation", "0"))
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")
        if held:
            await dewy.ask("hold")
        dewy.registry.rename(tmp_path / "away")
        shutil.rmtree((dewy.root / "current").resolve())
        dewy.signal(signal.SIGHUP)
        await eventually(lambda: "Restart failed; the old generation" in dewy.log)
        status = await dewy.runs("v1.1.0")
        os.kill(status["generations"][0]["pid"], signal.SIGKILL)

        status = await dewy.runs("v1.0.0")
        assert "v1.0.0" == await dewy.fetch()
        assert [] == status["quarantine"]
        told = "v1.1.0 is gone from this host until it is fetched"
        assert told in status["degraded"]
        (tmp_path / "away").rename(dewy.registry)
        status = await dewy.runs("v1.1.0")
        assert (held, "v1.1.0") == (status["hold"], await dewy.fetch())
        assert told not in status["degraded"]
    assert (await roots.state(dewy.root)).gone is None


async def test_the_only_release_removed_by_hand_is_deployed_again(tmp_path):
    dewy = Dewy(tmp_path, command="assets")
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
    shutil.rmtree(dewy.root / "releases")
    async with dewy:
        await dewy.runs("v1.0.0")
        assert "v1.0.0" == (dewy.root / "current/VERSION").read_text()


async def test_roots_that_share_a_cache_do_not_disturb_each_other(tmp_path):
    """The same version and file name of two applications; they restarted for ever."""
    shared = {"DEWY_CACHEDIR": str(tmp_path / "shared")}
    sites = [Dewy(tmp_path / name, 0, "assets", variables=shared) for name in "ab"]
    for site in sites:
        site.base.mkdir()
        artifact = programs.tarball({"NAME": site.base.name})
        programs.publish(site.registry, "v1.0.0", artifact)
    async with sites[0], sites[1]:
        for site in sites:
            status = first = await site.deploys("v1.0.0")
            # Some looks later still nothing has happened.
            for _ in range(3):
                first = await site.until(
                    lambda now, then=first: now["last_poll"] > then["last_poll"]
                )
            assert status["running"] == first["running"]
    for site in sites:
        assert site.base.name == (site.root / "current/NAME").read_text()
        assert 1 == len(await roots.history(site.root))


async def test_fresh_host_deploys_release_already_in_cache(tmp_path):
    """A peer's having it used to look like having it deployed."""
    shared = {"DEWY_CACHEDIR": str(tmp_path / "shared")}
    peer = Dewy(tmp_path / "peer", 0, "assets", variables=shared)
    peer.base.mkdir()
    peer.publish("v1.0.0")
    async with peer:
        await peer.runs("v1.0.0")
    (tmp_path / "shared/current").write_text("v1.0.0--app.tar.gz")
    fresh = Dewy(tmp_path / "fresh", 0, "assets", variables=shared)
    fresh.base.mkdir()
    fresh.registry_url = f"file://{peer.registry}"
    async with fresh:
        await fresh.runs("v1.0.0")
        assert "v1.0.0" == (fresh.root / "current/VERSION").read_text()
    assert "Cached artifact" not in fresh.log
