"""What is known of containers, in whatever order it becomes known."""

from __future__ import annotations

import asyncio

import pytest

from dewy.config import PortMapping
from dewy.containers.application import APP, MANAGED, VERSION
from dewy.containers.model import Container
from dewy.containers.rollout import Phase
from dewy.errors import EngineError
from tests.eventually import eventually
from tests.standins.crews import Halt
from tests.standins.fleets import SHOP, yard

ORIGINAL = {MANAGED: "true", APP: "shop", VERSION: "v1"}


async def test_containers_are_found_as_they_are():
    async with yard() as it:
        await it.left("runs")
        await it.left("created", start=False)
        await it.left("ended")
        await it.host.kill("ended")
        await it.store.observe()

        expected = {
            "runs": Phase.UNCHECKED,
            "created": Phase.GONE,
            "ended": Phase.GONE,
        }
        assert expected == it.phases


async def test_those_of_the_original_are_ours_if_their_image_is():
    async with yard() as it:
        await it.left("ours", labels=ORIGINAL)
        await it.left("theirs", labels=ORIGINAL, image="registry.test/other/shop:v1")
        await it.store.observe()

        assert ["ours"] == list(it.phases)


async def test_another_application_of_the_same_name_is_not_seen():
    async with yard() as it:
        labels = SHOP.labels(0, "v1", "sha256:1", "spec", [PortMapping(80, 8080)])
        theirs = await it.left(
            "theirs", labels=labels | {"dewy.registry": "registry.test/other/shop"}
        )
        await it.store.observe()

        assert {} == it.phases
        assert await it.store.look_at(theirs) is None
        assert {} == it.phases


async def test_dead_replica_leaves_all_ports_and_is_reported_once():
    async with yard(ports=2) as it:
        replica = await it.serving("a")
        assert [1, 1] == it.backends()

        it.store.lose(replica, 3)
        it.store.lose(replica, None)
        await it.host.kill(replica.id)
        await it.store.observe()

        assert [0, 0] == it.backends()
        assert ["a"] == it.dead
        assert 3 == replica.ended.result()
        assert {"a": Phase.GONE} == it.phases


async def test_an_end_that_no_event_told_is_found():
    async with yard() as it:
        replica = await it.serving("a")
        await it.host.kill(replica.id, 9)
        await it.store.observe()

        assert [0] == it.backends()
        assert (["a"], 9) == (it.dead, replica.ended.result())


async def test_a_removal_that_no_event_told_is_found():
    async with yard() as it:
        replica = await it.serving("a")
        await it.engine.remove(replica.id, force=True)
        await it.store.observe()

        assert ([0], {}, ["a"]) == (it.backends(), it.phases, it.dead)


async def test_replica_restarted_externally_is_rechecked():
    async with yard() as it:
        replica = await it.serving("a")
        await it.host.kill(replica.id)
        await it.engine.start(replica.id)
        fresh = await it.store.look_at(replica.id)

        assert fresh is not None
        assert fresh is not replica
        assert replica.ended.done()
        assert not fresh.ended.done()
        assert ([0], {"a": Phase.UNCHECKED}) == (it.backends(), it.phases)


async def test_stale_container_list_does_not_override_newer_state():
    """A list that was made before a replica started, and comes after it serves."""
    async with yard() as it:
        container = await it.left("a", start=False)
        reached, proceed = asyncio.Event(), asyncio.Event()

        async def late(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("after", "containers"):
                reached.set()
                await proceed.wait()

        it.host.hook = late
        looking = asyncio.create_task(it.store.observe(), name="look")
        await reached.wait()
        await it.engine.start(container)
        found = await it.engine.inspect(container)
        assert found is not None
        replica = it.store.see(found, Phase.STARTING)
        proceed.set()
        await looking

        assert found == replica.container
        assert replica is it.store.get(container)
        assert Phase.STARTING is replica.phase


async def test_a_loss_is_not_undone_by_an_older_answer():
    async with yard() as it:
        replica = await it.serving("a")
        reached, proceed = asyncio.Event(), asyncio.Event()

        async def late(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("after", "inspect"):
                reached.set()
                await proceed.wait()

        it.host.hook = late
        looking = asyncio.create_task(it.store.look_at(replica.id), name="look")
        await reached.wait()
        it.store.lose(replica, 0)
        proceed.set()
        await looking

        assert {"a": Phase.GONE} == it.phases
        assert [0] == it.backends()


async def test_container_is_ignored_while_being_created():
    async with yard() as it:
        it.store.creating("a")
        await it.left("a")
        await it.store.observe()
        assert {} == it.phases

        it.store.given_up("a")
        await it.store.observe()
        assert {"a": Phase.UNCHECKED} == it.phases


async def test_replica_created_during_listing_is_kept():
    async with yard() as it:
        await it.left("a")
        await it.store.observe()
        host = it.host
        held, it.host.held = it.host.held, {}

        async def appear(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("after", "containers"):
                host.held = held

        it.host.hook = appear
        await it.store.observe()

        assert {"a": Phase.UNCHECKED} == it.phases


async def test_container_that_is_made_another_applications_is_let_alone():
    async with yard() as it:
        replica = await it.serving("a")
        it.host.held[replica.id].change(labels={})
        await it.store.observe()

        assert ({}, [], [0]) == (it.phases, it.dead, it.backends())
        assert it.host.held[replica.id].container.running


async def test_paused_replica_leaves_table_and_keeps_backends():
    async with yard() as it:
        replica = await it.serving("a")
        backends = replica.backends
        it.host.held[replica.id].change(state="paused", addresses={}, published={})
        await it.store.observe()
        assert ({"a": Phase.PAUSED}, [0]) == (it.phases, it.backends())
        assert backends == replica.backends
        assert not backends[0].removed

        it.host.held[replica.id].change(state="running")
        await it.store.observe()
        assert ({"a": Phase.UNCHECKED}, []) == (it.phases, it.dead)


async def test_new_name_is_taken_in():
    async with yard() as it:
        replica = await it.serving("a")
        it.host.held[replica.id].change(name="b")
        await it.store.observe()

        assert ("b", {"b": Phase.SERVING}) == (replica.name, it.phases)


async def test_hung_inspection_does_not_block_other_replicas():
    async with yard() as it:
        ended, hung = await it.left("ended"), await it.left("hung")
        await it.store.observe()
        it.host.held.pop(ended)
        held = it.host.held.pop(hung)
        halt = asyncio.Event()

        async def hang(phase: str, call: str, subject: str) -> None:
            if (call, subject) == ("inspect", hung):
                await halt.wait()

        it.host.hook = hang
        looking = asyncio.create_task(it.store.observe(), name="look")
        await eventually(lambda: ["hung"] == list(it.phases))
        it.host.held[hung] = held
        halt.set()
        await looking


async def test_inspection_that_fails_costs_that_container_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async with yard() as it:
        stuck = await it.left("stuck")
        await it.left("other")
        await it.store.observe()
        every = it.engine.containers

        async def shown(labels: object = None) -> list[Container]:
            return [each for each in await every() if each.id != stuck]

        async def refuse(phase: str, call: str, subject: str) -> None:
            if (call, subject) == ("inspect", stuck):
                raise EngineError("no answer for 10 s")

        monkeypatch.setattr(it.engine, "containers", shown)
        it.host.hook = refuse
        await it.host.kill("other")
        for _ in range(2):
            await it.store.observe()

        assert {"stuck": Phase.UNCHECKED, "other": Phase.GONE} == it.phases
        assert 1 == caplog.messages.count("Container not inspected")


async def test_serving_replica_attached_to_new_network_keeps_serving():
    async with yard() as it:
        replica = await it.serving("a")
        held = it.host.held[replica.id]
        held.change(addresses={**held.container.addresses, "more": "127.99.0.2"})
        await it.store.observe()

        assert ([1], []) == (it.backends(), it.dead)
        assert {"a": Phase.SERVING} == it.phases


async def test_replica_with_changed_address_is_rechecked():
    async with yard() as it:
        replica = await it.serving("a")
        it.host.held[replica.id].change(addresses={"bridge": "127.99.0.2"})
        await it.store.observe()

        assert ([0], []) == (it.backends(), it.dead)
        assert {"a": Phase.UNCHECKED} == it.phases
        assert not replica.ended.done()


async def test_death_of_rechecked_replica_is_reported():
    """Docker tells of the network before it tells of the death."""
    async with yard() as it:
        replica = await it.serving("a")
        it.store.recheck(replica)
        assert {"a": Phase.UNCHECKED} == it.phases
        it.store.lose(replica, 4)

        assert (["a"], {"a": Phase.GONE}) == (it.dead, it.phases)


async def test_exit_of_leaving_replica_is_not_reported_as_death():
    async with yard() as it:
        replica = await it.serving("a")
        it.store.dismiss([replica])
        assert [0] == it.backends()
        it.store.lose(replica, 0)

        assert ([], {"a": Phase.LEAVING}) == (it.dead, it.phases)


async def test_removed_replica_is_not_taken_in_from_an_older_answer():
    async with yard() as it:
        replica = await it.serving("a")
        await it.host.kill(replica.id)
        it.host.hook = under_way = Halt("after", "containers")
        looking = asyncio.create_task(it.store.observe())
        await under_way.reached.wait()
        await it.store.remove(replica)
        under_way.proceed.set()
        await looking

        assert {} == it.phases


async def test_replica_that_the_engine_did_not_remove_is_found_again():
    """An engine, or a proxy before it, said that it had."""
    async with yard() as it:
        replica = await it.serving("a")
        await it.host.kill(replica.id)
        ghost = it.host.held[replica.id]
        await it.store.remove(replica)
        it.host.held[replica.id] = ghost
        await it.store.observe()

        assert {"a": Phase.GONE} == it.phases


async def test_replica_with_failed_removal_is_kept():
    async with yard() as it:
        await it.left("a", start=False)
        await it.store.observe()
        it.host.fail("remove", EngineError("busy"))
        with pytest.raises(EngineError, match="busy"):
            await it.store.remove(it.store.replicas[0])
        await it.store.observe()

        assert {"a": Phase.GONE} == it.phases


async def test_an_engine_that_does_not_answer_changes_nothing():
    async with yard() as it:
        await it.serving("a")
        it.host.fail("containers", EngineError("it hangs"))
        with pytest.raises(EngineError):
            await it.store.observe()

        assert ([1], {"a": Phase.SERVING}) == (it.backends(), it.phases)


async def test_a_log_that_cannot_be_read_is_empty():
    async with yard() as it:
        container = await it.left("a")
        it.host.held[container].output += ["one", "two"]
        assert ("two",) == await it.store.tail(container, 1)
        it.host.fail("logs", EngineError("gone"))
        assert () == await it.store.tail(container)
