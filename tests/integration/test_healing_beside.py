"""What runs is healed at once, whatever is waited for meanwhile, on both engines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiodocker
import pytest

from tests.eventually import eventually
from tests.standins import roots
from tests.standins.container_site import ContainerDewy

OLD, BAD = "v1.0.0", "v2.0.0"
SOON = 3 * 2.0
"""Seconds beyond its start-up time in which a replica serves again, with slack."""


@pytest.fixture
def site(container_dewy: ContainerDewy) -> ContainerDewy:
    """Two replicas that have long to get ready."""
    container_dewy.replicas = 2
    container_dewy.options = ("--health-timeout", "60s", "--probation", "1s")
    return container_dewy


@asynccontextmanager
async def at_work(site: ContainerDewy) -> AsyncIterator[aiodocker.Docker]:
    """*site* while it serves the old version; a client of its engine."""
    await site.push(OLD)
    async with site, site.engine.client() as docker:
        await site.serves(OLD)
        yield docker


async def killed(docker: aiodocker.Docker, containers: Iterable[str]) -> None:
    """Kill all of *containers* at once."""
    shown = (docker.containers.container(each) for each in containers)
    await asyncio.gather(*(each.kill(signal="SIGKILL") for each in shown))


async def answered(site: ContainerDewy) -> None:
    """Wait until a new connection is answered by the old version."""

    async def well() -> bool:
        try:
            async with asyncio.timeout(1.0):
                return await site.fetch("/version") == OLD
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    await eventually(well)


async def start_up(site: ContainerDewy, docker: aiodocker.Docker) -> float:
    """Seconds from the death of one replica until all serve again."""
    victim, *_ = await site.serving()
    begun = time.monotonic()
    await killed(docker, [victim])

    async def replaced() -> bool:
        serving = await site.serving()
        return victim not in serving and len(serving) == site.replicas

    await eventually(replaced)
    return time.monotonic() - begun


async def test_running_version_is_healed_while_a_rollout_waits(
    site: ContainerDewy,
) -> None:
    """Also while it is tried again out of quarantine."""
    async with at_work(site) as docker:
        usual = await start_up(site, docker)
        await site.push(BAD, env={"NEVER_LISTEN": "1"})
        for _ in range(2):
            await eventually(lambda: waits(site))
            assert await until_healed(site, docker) < usual + SOON
            assert await waits(site)
            said = await roots.say(site.root, "rollback")
            assert 0 == said.status, said
            await eventually(lambda: gone(site))
            said = await roots.say(site.root, "retry", BAD)
            assert 0 == said.status, said


async def until_healed(site: ContainerDewy, docker: aiodocker.Docker) -> float:
    """Kill all that serve; seconds until others do."""
    old = set(await site.serving())
    begun = time.monotonic()
    await killed(docker, old)
    await eventually(lambda: others(site, old))
    await answered(site)
    return time.monotonic() - begun


async def waits(site: ContainerDewy) -> bool:
    """Whether a replica of the bad version is there."""
    shown = await site.containers()
    return any(each["Config"]["Labels"]["dewy.version"] == BAD for each in shown)


async def gone(site: ContainerDewy) -> bool:
    return not await waits(site)


async def others(site: ContainerDewy, old: set[str]) -> bool:
    """Whether some serve, and none of *old*."""
    serving = set(await site.serving())
    return bool(serving) and not serving & old


async def test_replica_without_a_network_holds_up_no_other(site: ContainerDewy) -> None:
    """One is cut off, the others die: all are replaced as soon as they start."""
    async with at_work(site) as docker:
        usual = await start_up(site, docker)
        cut, *rest = await site.containers()
        old = {each["Id"] for each in (cut, *rest)}
        (network,) = cut["NetworkSettings"]["Networks"]
        begun = time.monotonic()
        if site.engine.runtime == "podman":
            # It takes the containers along.
            await forced(docker, network)
        else:
            place = await docker.networks.get(network)
            await place.disconnect({"Container": cut["Id"], "Force": True})
            await killed(docker, [each["Id"] for each in rest])
        await eventually(lambda: others(site, old))
        await answered(site)
        assert time.monotonic() - begun < usual + SOON
        await site.alone(OLD)


async def forced(docker: aiodocker.Docker, network: str) -> None:
    """Remove *network* and all that is in it, as `podman network rm -f` does."""
    url = f"{docker.docker_host}/v4.0.0/libpod/networks/{network}?force=true"
    async with docker.session.delete(url) as answer:
        assert answer.status == 200, await answer.text()


async def test_paused_replica_receives_no_requests_until_resumed(
    site: ContainerDewy,
) -> None:
    async with at_work(site) as docker:
        victim, *_ = await site.serving()
        container = docker.containers.container(victim)
        await container.pause()
        try:
            await eventually(lambda: without(site, victim))
            for _ in range(6):
                async with asyncio.timeout(3.0):
                    assert OLD == await site.fetch("/version")
        finally:
            await container.unpause()
        await site.serves(OLD)
        assert victim in await site.serving()


async def test_paused_replica_of_an_old_version_is_removed(site: ContainerDewy) -> None:
    async with at_work(site) as docker:
        victim, *_ = await site.serving()
        await docker.containers.container(victim).pause()
        await eventually(lambda: without(site, victim))
        await site.push("v1.1.0")
        await site.serves("v1.1.0")
        await site.alone("v1.1.0")


async def test_rollout_replaces_a_new_replica_that_is_paused(
    site: ContainerDewy,
) -> None:
    async with at_work(site) as docker:
        await site.push("v1.1.0", env={"START_DELAY_MS": "1000"})
        victim = await first_of(site, "v1.1.0")
        await docker.containers.container(victim).pause()
        await site.serves("v1.1.0")
        assert victim not in await site.alone("v1.1.0")


@pytest.mark.parametrize("how", ["stop", "delete"])
async def test_stopping_a_new_replica_in_a_rollout_condemns_no_version(
    site: ContainerDewy, how: str
) -> None:
    site.replicas = 2
    async with at_work(site) as docker:
        await site.push("v1.1.0", env={"START_DELAY_MS": "2000"})
        victim = docker.containers.container(await first_of(site, "v1.1.0"))
        await (victim.delete(force=True) if how == "delete" else getattr(victim, how)())
        await site.fails("was stopped or removed while it was deployed", at="start")
        status = await site.serves("v1.1.0")
        assert [] == status["quarantine"]


async def test_pausing_a_starting_replica_condemns_no_version(
    site: ContainerDewy,
) -> None:
    site.replicas = 1
    site.options = ("--health-timeout", "4s")
    async with at_work(site) as docker:
        await site.push("v1.1.0", env={"START_DELAY_MS": "1500"})
        status = await site.until(lambda now: len(now["replicas"]) > 1)
        victim = next(r for r in status["replicas"] if r["version"] == "v1.1.0")
        await docker.containers.container(victim["id"]).pause()
        await site.fails("was paused while it was deployed", at="start")
        status = await site.serves("v1.1.0")
        assert [] == status["quarantine"]


async def first_of(site: ContainerDewy, version: str) -> str:
    """Wait until a replica of *version* serves; its id."""
    found: list[str] = []

    async def serves() -> bool:
        found[:] = [id for id, of in (await site.serving()).items() if of == version]
        return bool(found)

    await eventually(serves)
    return found[0]


async def test_ending_well_at_the_end_of_probation_is_a_failure(
    site: ContainerDewy,
) -> None:
    """Podman tells seconds later whether somebody asked for it."""
    site.replicas = 1
    site.options = ("--probation", "5s")
    async with at_work(site):
        await site.push(BAD, env={"EXIT_AFTER_MS": "4000", "EXIT_CODE": "0"})
        assert "died within probation" in await site.refuses(BAD)
        await site.serves(OLD)


async def without(site: ContainerDewy, replica: str) -> bool:
    return replica not in await site.serving()


async def test_removal_by_force_rolls_nothing_back(site: ContainerDewy) -> None:
    """It is healed: somebody wanted that container gone, not the version."""
    site.options = ("--probation", "10m")
    async with at_work(site) as docker:
        await site.push("v1.1.0")
        await site.serves("v1.1.0")
        victim, *_ = await site.alone("v1.1.0")
        await docker.containers.container(victim).delete(force=True)
        await eventually(lambda: without(site, victim))
        status = await site.serves("v1.1.0")
        assert [] == status["quarantine"]
        assert victim not in await site.alone("v1.1.0")
