"""The move from the original to dewy with containers that serve meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.eventually import eventually
from tests.standins import roots
from tests.standins.container_site import ContainerDewy
from tests.standins.original import proxy_of_the_original, run_as_the_original
from tests.standins.outages import watching

Measured = Callable[[object], None]


@pytest.fixture
def dewy(container_dewy: ContainerDewy) -> ContainerDewy:
    container_dewy.options = ("--on-exit", "leave")
    return container_dewy


async def replaced(dewy: ContainerDewy, before: set[str]) -> bool:
    """Whether none of the containers of *before* is there any more."""
    return not before & {each["Id"] for each in await dewy.containers()}


async def test_application_with_a_list_of_hosts_is_taken_over(
    dewy: ContainerDewy, measured: Measured
) -> None:
    """It serves at once, and rolls; nobody is without an answer beyond a restart."""
    lists = {"ALLOWED_HOST": "localhost"}
    pushed = await dewy.push("v1.0.0", env=lists)
    ports = await run_as_the_original(dewy, pushed, 2)
    before = {each["Id"] for each in await dewy.containers()}
    words = dewy.arguments()[3:]
    dewy.root.mkdir()
    async with watching(dewy.port) as outages:
        async with proxy_of_the_original(dewy.port, ports):
            await outages.goes_on()
            checked = await roots.say(
                dewy.root, "check", *words, **dict(dewy.engine.environ)
            )
        async with dewy:
            await outages.goes_on()
            moved = outages.forget()
            # Once by its own, which say how they were made.
            await eventually(lambda: replaced(dewy, before))
            await dewy.alone("v1.0.0")
            await dewy.push("v1.1.0", env=lists)
            await dewy.serves("v1.1.0")
            await dewy.alone("v1.1.0")
            await outages.goes_on()
            unanswered, rolled = outages.unanswered, outages.forget()
        async with dewy:
            await dewy.serves("v1.1.0")
            await outages.goes_on()
            restart = outages.longest
    measured(f"moved {moved:.2f} s, rolled {rolled:.2f} s, restart {restart:.2f} s")

    assert "Traceback" not in checked.err
    assert "quarantine" not in dewy.log
    assert "unhealthy" not in dewy.log
    assert ["v1.1.0"] == outages.versions
    assert 0 == unanswered
    assert dewy.log.index("Adopted containers") < dewy.log.index("Starting new")


@pytest.mark.parametrize("healthcheck", [False, True], ids=["path", "image"])
async def test_application_never_found_well_serves_until_a_good_release(
    dewy: ContainerDewy, healthcheck: bool
) -> None:
    """What runs is better than nothing; what is wrong with it is told."""
    bad = {"UNHEALTHY": "400"}
    if healthcheck:
        dewy.health = ()
    pushed = await dewy.push("v1.0.0", env=bad, healthcheck=healthcheck)
    ports = await run_as_the_original(dewy, pushed, 2)
    dewy.options = (*dewy.options, "--health-timeout", "8s")
    async with watching(dewy.port) as outages:
        async with proxy_of_the_original(dewy.port, ports):
            await outages.goes_on()
        async with dewy:
            await outages.goes_on()
            told = await dewy.until(lambda now: len(now["replicas"]) >= 2)
            await dewy.polls()
            await outages.goes_on()
            assert ["v1.0.0"] == outages.versions
            outages.forget()
            await dewy.push("v1.1.0")
            await dewy.serves("v1.1.0")
            await dewy.alone("v1.1.0")
            await outages.goes_on()
            unanswered = outages.unanswered
            assert ["v1.0.0", "v1.1.0"] == outages.versions

    assert any("unhealthy" in each for each in told["degraded"])
    assert "Unhealthy replica serves, since no other does" in dewy.log
    assert 0 == unanswered
