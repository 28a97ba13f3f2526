"""The registry or the engine fails: what serves goes on, and dewy comes back to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.needs import needs
from tests.standins import roots
from tests.standins.container_load import ContainerLoad
from tests.standins.container_site import ContainerDewy, address_of
from tests.standins.engines import RealEngine
from tests.standins.gates import Gate, answer
from tests.standins.images import Publisher
from tests.standins.witness import Witness

OLD, NEW = "v1.0.0", "v1.1.0"
PULLER = b"User-Agent: docker/"
REFUSALS = {
    "429": answer("429 Too Many Requests", "", "Retry-After: 1"),
    "401": answer("401 Unauthorized", "", 'WWW-Authenticate: Basic realm="x"'),
}
FULL = "no space left on device"
NO_ROOM = {
    "pulled": {
        b" /v1.41/images/create?": answer(
            "200 OK", f'{{"error": "write blob: {FULL}"}}'
        )
    },
    "created": {
        b"/containers/create?": answer(
            "500 Internal Server Error", f'{{"message": "mkdir: {FULL}"}}'
        )
    },
}


async def test_the_registry_may_go(
    docker: RealEngine, publisher: Publisher, tmp_path, unused_tcp_port
) -> None:
    """Hanging up, answering nonsense, refusing; then breaking off a pull."""
    async with Gate(publisher.host) as gate:
        repository = docker.name("team") + "/app"
        site = ContainerDewy(
            tmp_path,
            unused_tcp_port,
            engine=docker,
            publisher=publisher,
            repository=repository,
            registry_url=f"img://{gate.place}/{repository}",
            replicas=1,
        )
        await site.push(OLD)
        async with site:
            await site.serves(OLD)
            before = await site.alone(OLD)
            async with ContainerLoad(site.port, rate=50, kept=2) as load:
                for trouble in ("broken", "garbage", *REFUSALS):
                    if trouble in REFUSALS:
                        gate.answers = {b" /v2/": REFUSALS[trouble]}
                    else:
                        gate.turn(trouble)
                    await gate.cut()
                    status = await site.until(lambda now: now["last_error"])
                    assert gate.place in status["last_error"]
                    assert 1 == len(status["last_error"].splitlines())
                    if trouble in REFUSALS:
                        assert trouble in status["last_error"]
                    gate.turn("open")
                    gate.answers = {}
                    await site.until(lambda now: not now["last_error"])
                gate.spurned = PULLER
                await gate.cut()
                await site.push(NEW)
                status = await site.fails("could not pull")
                assert [] == status["quarantine"]
                assert before == await site.alone(OLD)
                gate.spurned = b""
                status = await site.serves(NEW)
                assert [] == status["quarantine"]
        assert {} == load.report.failures, load.report.examples
        _, failed, _ = await roots.history(site.root)
        assert ("failed", "fetch") == (failed.outcome, failed.step)


@pytest.fixture
async def gate(site: ContainerDewy, tmp_path: Path) -> AsyncIterator[Gate]:
    """By which *site* reaches Docker."""
    path = site.variables["DOCKER_HOST"].removeprefix("unix://")
    async with Gate(path, tmp_path) as gate:
        site.variables = {**site.variables, "DOCKER_HOST": f"unix://{gate.place}"}
        yield gate


async def test_the_disk_may_be_full(
    docker: RealEngine, gate: Gate, site: ContainerDewy
) -> None:
    """As an image comes, as a container is made, and as a dead one is replaced."""
    await site.push(OLD)
    async with site, docker.client() as client:
        await site.serves(OLD)
        first, _ = await site.alone(OLD)
        gate.answers = NO_ROOM["created"]
        await client.containers.container(first).kill(signal="SIGKILL")
        status = await site.until(
            lambda now: any(FULL in phrase for phrase in now["degraded"])
        )
        gate.answers = {}
        await site.serves(OLD)
        before = await site.alone(OLD)
        assert first not in before

        gate.answers = NO_ROOM["pulled"]
        await site.push(NEW)
        async with ContainerLoad(site.port, rate=50, kept=2) as load:
            for kind, step in ("pulled", "fetch"), ("created", "start"):
                gate.answers = NO_ROOM[kind]
                status = await site.fails(FULL, at=step)
                assert [] == status["quarantine"], kind
                assert before == await site.alone(OLD)
            gate.answers = {}
            status = await site.serves(NEW)
            assert [] == status["quarantine"]
    assert {} == load.report.failures, load.report.examples
    assert [] == await site.containers()


@needs("raw-sockets")
@pytest.mark.parametrize("mode", ["shut", "garbage", "broken"])
async def test_the_engine_may_go(
    docker: RealEngine, gate: Gate, site: ContainerDewy, mode: str
) -> None:
    """It hangs, answers nonsense or hangs up: nothing is lost, all is found again."""
    # The death below is no verdict on the version, however soon it comes.
    site.options = (*site.options, "--probation", "10m")
    await site.push(OLD)
    async with site, docker.client() as client:
        await site.serves(OLD)
        before = await site.alone(OLD)
        async with ContainerLoad(site.port, rate=50, kept=2) as load:
            gate.turn(mode)
            await gate.cut()
            await load.goes_on(100)
            await site.push(NEW)
            await load.goes_on(100)
            gate.turn("open")
            await site.until(lambda now: now["running"])
            await roots.say(site.root, "retry", NEW)
            await site.serves(NEW)
            after = await site.alone(NEW)
            assert [] == load.report.broken, load.report.examples
            # Deaths that nobody told of are found by the relist.
            shown = {each["Id"]: each for each in await site.containers()}
            async with Witness(address_of(shown[after[0]])) as witness:
                await load.goes_on(100)
                gate.turn("broken")
                await gate.cut()
                await client.containers.container(after[0]).kill(signal="SIGKILL")
                gate.turn("open")
                await site.serves(NEW)
                assert after[1] in await site.alone(NEW)
                await load.goes_on(50)
    assert not set(before) & set(after)
    assert load.report.failures.keys() <= {"reset", "short"}, load.report.examples
    # What it held, and no other.
    assert set(load.report.broken) <= witness.seen, load.report.examples
    assert [] == await site.containers()


MISTAKES = {
    "--privileged": ["--", "--privileged"],
    "--nonsense": ["--", "--nonsense"],
    "-p": ["--", "-p", "80:80"],
    "--network": ["--", "--network", "host"],
    "--env-file": ["--", "--env-file", "/nowhere/at/all"],
    "--memory": ["--", "--memory", "much"],
    "--port": ["--port", "99999"],
    "--replicas": ["--replicas", "many"],
    "--upstream": ["--upstream", "sideways"],
    "--runtime": ["--runtime", "rkt"],
    "nothing/at/all": ["--registry", "img://"],
}


@pytest.mark.parametrize("what", [*MISTAKES, "DOCKER_HOST"])
async def test_invalid_option_yields_single_line_error(tmp_path, what: str) -> None:
    """Exit status 2, and no trace."""
    given = ["--registry", "img://127.0.0.1:9/team/app", "--port", "18080:80"]
    variables = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    said = await roots.say(
        tmp_path, "container", *given, *MISTAKES.get(what, ()), **variables
    )
    assert 2 == said.status, said
    assert 1 == len(said.err.strip().splitlines()), said.err
    assert "Traceback" not in said.err
    assert [] == list(tmp_path.iterdir())
    if what.startswith("-"):
        assert what in said.err


@pytest.mark.parametrize("upstream", ["direct", "published", "auto"])
async def test_ways_to_containers(
    engine: RealEngine,
    publisher: Publisher,
    tmp_path,
    unused_tcp_port_factory,
    upstream: str,
) -> None:
    """Two ports, one of which the image tells."""
    first, second = unused_tcp_port_factory(), unused_tcp_port_factory()
    site = ContainerDewy(
        tmp_path,
        first,
        engine=engine,
        publisher=publisher,
        replicas=1,
        ports=[str(first), f"{second}:8080"],
        options=["--upstream", upstream],
    )
    await site.push(OLD, ports=[8080])
    async with site:
        await site.serves(OLD)
        assert OLD == await site.fetch("/version")
        site.port = second
        assert OLD == await site.fetch("/version")
        (replica,) = (await site.ask("containers"))["containers"]
    way = "published" if upstream == "published" else "direct"
    assert way == replica["way"]
    assert replica["upstream"].startswith("127.0.0.1:") == (way == "published")


async def test_slots_are_told_by_the_end_of_a_tag(site: ContainerDewy) -> None:
    """A `+` cannot stand in one."""
    site.options = ("--slot", "blue")
    site.replicas = 1
    await site.push("v1.0.0-blue")
    await site.push("v1.1.0-green")
    async with site:
        await site.serves("v1.0.0-blue")
        await site.push("v1.2.0-blue")
        await site.serves("v1.2.0-blue")
