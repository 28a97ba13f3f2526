"""What is known of one container."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace

import pytest

from dewy.config import Endpoint
from dewy.containers.model import Container
from dewy.containers.rollout import Observed, Phase
from dewy.containers.upstream import DIRECT, Upstream
from dewy.proxy.backend import Outcomes
from tests.eventually import eventually
from tests.standins.fleets import yard
from tests.standins.plane import Origin, listening


async def test_serving_replica_exposes_observed_state():
    async with yard() as it:
        replica = await it.serving("a")

        assert Observed(replica.id, 0, "spec", Phase.SERVING) == replica.seen
        assert ("v1", "sha256:1", {0: 8080}) == (
            replica.version,
            replica.digest,
            replica.ports,
        )
        assert 0 == replica.connections


async def test_outcomes_are_kept_over_a_move_and_the_end():
    """And hold the connections of every backend that led to it."""
    async with yard() as it:
        replica = await it.serving("a")
        assert Outcomes() == replica.outcomes

        for count in (1, 2):
            # A probe follows, and would be accepted in the place of the next client.
            with listening() as listener:
                where = Endpoint.of(listener)
                it.store.table.move(replica, Upstream(DIRECT, (where,)))
                await broken(it.proxy.ports[0].endpoint, Origin(listener))
            expected = Outcomes(count, count)
            await eventually(lambda seen=expected: seen == replica.outcomes)
        it.store.lose(replica, 1)
        await eventually(lambda: not it.proxy.ports[0].backends)

        assert Outcomes(2, 2) == replica.outcomes


async def test_backends_of_earlier_routes_are_let_go_of():
    """However often the route changes."""
    async with yard() as it:
        replica = await it.serving("a")
        port, past = it.proxy.ports[0], []
        for _ in range(5):
            past.append(weakref.ref(port.serving[0]))
            where = replica.upstream.endpoints
            it.store.table.move(replica, Upstream(DIRECT, where))
            await eventually(lambda: len(port.backends) == 1)
        gc.collect()

        # The last one is let go of at the next change.
        assert [None] * 4 == [each() for each in past[:-1]]


async def broken(port: Endpoint, origin: Origin) -> None:
    """A connection that *origin* closes without a byte."""
    reader, writer = await asyncio.open_connection(*port.address)
    server = await asyncio.to_thread(origin.accept)
    server.close()
    assert b"" == await reader.read()
    writer.close()


async def test_replica_of_original_has_no_spec_version_or_digest():
    async with yard() as it:
        labels = {"dewy.managed": "true", "dewy.app": "shop"}
        container = await it.left("a", labels=labels)
        await it.store.observe()
        replica = it.store.get(container)

        assert replica is not None
        assert ("", "", "", -1) == (
            replica.spec,
            replica.version,
            replica.digest,
            replica.seen.index,
        )
        assert replica.container.started_at == replica.deployed_at


@pytest.mark.parametrize(
    ("addresses", "same"),
    [
        ({"bridge": "127.77.0.2"}, True),
        ({"bridge": "127.77.0.2", "more": "127.99.0.2"}, True),
        ({"bridge": "127.77.0.3"}, False),
        ({}, False),
    ],
)
async def test_changed_address_is_detected_within_same_run(
    addresses: dict[str, str], same: bool
):
    async with yard() as it:
        replica = await it.serving("a")
        shown: Container = replace(replica.container, addresses=addresses)

        assert same == replica.is_where_it_was(shown)
        assert replica.is_same_run(shown)
        assert not replica.is_same_run(replace(shown, started_at="later"))


async def test_work_on_replica_is_cancelled_when_replica_ends():
    async with yard() as it:
        replica = await it.serving("a")
        begun = asyncio.Event()

        async def hang() -> str:
            begun.set()
            await asyncio.Event().wait()
            return "never"

        assert "yes" == await replica.while_it_lives(asyncio.sleep(0, "yes"))
        work = asyncio.create_task(replica.while_it_lives(hang()))
        await begun.wait()
        replica.end(0, 9, unseen=False)

        assert await work is None
        assert await replica.while_it_lives(asyncio.sleep(60, "late")) is None


async def test_its_run_ends_once():
    async with yard() as it:
        replica = await it.serving("a")
        assert replica.end(3, 8, unseen=False)
        assert not replica.end(None, 9, unseen=False)

        assert 3 == replica.ended.result()
