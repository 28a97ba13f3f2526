"""The table: every port changes at the same instant."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dewy.config import Endpoint, PortMapping
from dewy.containers.rollout import Phase
from dewy.containers.upstream import DIRECT, Upstream
from tests.eventually import eventually
from tests.standins.fleets import yard
from tests.standins.plane import full


async def test_replicas_enter_and_leave_on_every_port():
    async with yard(ports=2) as it:
        one, two = await it.serving("a"), await it.serving("b")
        assert [2, 2] == it.backends()
        it.store.table.drop([one])

        assert [1, 1] == it.backends()
        assert one not in it.store.table
        assert two in it.store.table
        assert 1 == len(it.store.table)


async def test_replica_added_twice_enters_table_once():
    async with yard() as it:
        replica = await it.serving("a")
        it.store.table.add([replica])

        assert (1, [1]) == (len(it.store.table), it.backends())


async def test_replica_admitted_again_goes_on_serving():
    """By new backends, as the former ones drain."""
    async with yard() as it:
        replica = await it.serving("a")
        replica.phase = Phase.READY
        it.store.admit([replica])

        assert list(replica.backends.values()) == it.proxy.ports[0].serving


async def test_replica_lacking_a_port_serves_remaining_ports():
    """It was made before a port was added, and serves until it is replaced."""
    async with yard(ports=2) as it:
        mappings = (PortMapping(70, 7000), PortMapping(80, 8080))
        it.settings.reload(replace(it.settings.current, port_mappings=mappings))
        replica = await it.serving("a")

        assert [0, 1] == it.backends()
        assert [1] == list(replica.backends)


async def test_backends_of_lost_replica_are_removed_from_proxy():
    async with yard(ports=2) as it:
        replica = await it.serving("a")
        backends = replica.backends
        it.store.table.lose(replica)

        assert ([0, 0], {}) == (it.backends(), replica.backends)
        await eventually(lambda: all(each.removed for each in backends.values()))


async def test_pending_connections_to_lost_replica_are_closed():
    """Whoever has the address a moment later is somebody else."""
    async with yard() as it:
        replica = await it.serving("a")
        with full() as hanging:
            there = Endpoint.of(hanging.listener)
            it.store.table.move(replica, Upstream(DIRECT, (there,)))
            [backend] = replica.backends.values()
            front = it.proxy.ports[0].endpoint
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            await eventually(lambda: backend.connections)
            it.store.table.lose(replica)

            assert 0 == backend.connections
            writer.close()


async def test_replica_with_changed_upstream_keeps_open_connections():
    async with yard() as it:
        it.settings.reload(replace(it.settings.current, drain_time=0.05))
        taken: list[asyncio.StreamWriter] = []

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            taken.append(writer)
            writer.write(await reader.readexactly(1))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        there = Endpoint.of(server.sockets[0])
        replica = await it.serving("a")
        it.store.table.move(replica, Upstream(DIRECT, (there,)))
        front = it.proxy.ports[0].endpoint
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        await eventually(lambda: taken)
        old = replica.backends[0]

        it.store.table.move(replica, Upstream(DIRECT, (Endpoint("127.0.0.1", 1),)))

        assert [1] == it.backends()
        assert old is not replica.backends[0]
        await eventually(lambda: old.removed)
        writer.write(b"x")
        assert b"x" == await reader.readexactly(1)
        writer.close()
        for each in taken:
            each.close()
        server.close()


async def test_unhealthy_replica_stays_ejected_after_upstream_change():
    async with yard() as it:
        sick = await it.serving("a")
        sick.health_tracker = replace(sick.health_tracker, healthy=False)
        it.store.table.eject(sick)
        await it.serving("b")
        assert sick.backends[0].ejected

        it.store.table.move(sick, Upstream(DIRECT, (Endpoint("127.0.0.1", 1),)))
        assert sick.backends[0].ejected
        it.store.table.restore(sick)
        assert not sick.backends[0].ejected
