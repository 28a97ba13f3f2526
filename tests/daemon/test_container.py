"""Container mode as a whole, on an engine that is memory."""

from __future__ import annotations

import asyncio
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from dewy.config import PortMapping
from dewy.daemon import container
from dewy.deploy.state import State, StateFile
from dewy.errors import ConfigError
from dewy.release import Release
from dewy.systemd import Service
from tests.eventually import eventually
from tests.standins.container_lives import Names, alive, lose_image
from tests.standins.crews import Shop
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost


async def test_new_version_in_registry_is_deployed(tmp_path: Path, host: MemoryHost):
    async with alive(tmp_path, host) as life:
        await life.see("v1")
        assert ["v1"] * 2 == life.serving
        await life.see("v2")

        assert ["v2"] * 2 == life.serving
    assert {} == host.held


async def test_status_tells_last_checks_and_ports(tmp_path: Path, host: MemoryHost):
    async with alive(tmp_path, host) as life:
        await life.see("v1")
        status = await life.handlers.status()
        (port,) = life.replica_set.table.ports

    assert 2 == status["desired_replicas"]
    assert [str(port.endpoint)] == [each["address"] for each in status["ports"]]
    assert [0, 0] == [status["ports"][0][name] for name in ("errors", "retries")]
    checks = [each["last_check"] for each in status["replicas"]]
    assert [True, True] == [check["ok"] for check in checks]
    assert all(check["latency"] is not None for check in checks)


async def test_another_hosts_engine_is_refused(
    tmp_path: Path, host: MemoryHost, monkeypatch: pytest.MonkeyPatch
):
    engine = MemoryEngine(host)
    engine.local = False
    monkeypatch.setattr(container, "open_engine", lambda *given: nullcontext(engine))
    with pytest.raises(ConfigError, match=r"^--upstream published: .* on another host"):
        await alive(tmp_path, host).__aenter__()


async def test_a_death_within_probation_takes_the_version_back(
    tmp_path: Path, host: MemoryHost
):
    """In the ledger first; the bad one's others serve until the good ones do."""
    async with alive(tmp_path, host) as life:
        await life.see("v1")
        await life.see("v2")
        await life.replica_set.drainer.ended()
        order: list[str] = []
        state = life.handlers.agent.state_store

        async def watch(phase: str, call: str, subject: str) -> None:
            if phase == "before" and call in {"create", "stop"}:
                bad = bool(list(state.state.quarantine))
                order.append(f"{call}, quarantine {bad}, serving {len(life.serving)}")

        host.hook = watch
        victim = life.replica_set.deployer.store.serving[0]
        await host.kill(victim.id, 1)
        await eventually(lambda: ["v1"] * 2 == life.serving and len(host.held) == 2)
        host.hook = None

        assert all("quarantine True" in each for each in order)
        assert "stop, quarantine True, serving 2" == order[-1]
        running = state.state.running
        assert running is not None
        assert "v1" == running.tag
        await life.handlers.poller.once()
        assert ["v1"] * 2 == life.serving


async def test_rollback_passes_over_version_whose_image_cannot_be_had(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host) as life:
        for tag in ("v1", "v2", "v3"):
            await life.see(tag)
        await life.replica_set.drainer.ended()
        await lose_image(life, "v2")
        await host.kill(life.replica_set.deployer.store.serving[0].id, 1)
        await eventually(lambda: ["v1"] * 2 == life.serving)

        running = life.handlers.agent.state.running
        assert running is not None
        assert "v1" == running.tag


async def test_bad_version_is_healed_where_no_earlier_image_can_be_had(
    tmp_path: Path, host: MemoryHost, caplog: pytest.LogCaptureFixture
):
    async with alive(tmp_path, host) as life:
        await life.see("v1")
        await life.see("v2")
        await life.replica_set.drainer.ended()
        await lose_image(life, "v1")
        victim = life.replica_set.deployer.store.serving[0].id
        await host.kill(victim, 1)
        await eventually(lambda: victim not in host.held)
        await eventually(lambda: ["v2"] * 2 == life.serving)

        state = life.handlers.agent.state
        assert state.running is not None
        assert "v2" == state.running.tag
        assert ["v2"] == [each.tag for each in state.quarantine]
        assert "Could not roll back" in caplog.messages


def is_judging(task: asyncio.Task[Any]) -> bool:
    return task.get_name().startswith("death of")


async def test_death_during_rollout_quarantines_only_new_version(
    tmp_path: Path, host: MemoryHost
):
    """Though that is on probation still, and the dead one had connections already."""
    async with alive(tmp_path, host, probation=3600.0) as life:
        await life.see("v1")
        await life.see("v2")
        await life.replica_set.drainer.ended()

        async def kill_the_first(phase: str, call: str, subject: str) -> None:
            if (phase, call) == ("before", "create") and "v3" in life.serving:
                store = life.replica_set.deployer.store
                first = next(r for r in store.serving if r.version == "v3")
                await host.kill(first.id, 1)

        host.hook = kill_the_first
        await life.see("v3")
        host.hook = None
        await eventually(lambda: not any(map(is_judging, asyncio.all_tasks())))
        await life.replica_set.drainer.ended()
        state = life.handlers.agent.state

        assert ["v2"] * 2 == life.serving
        assert state.running is not None
        assert "v2" == state.running.tag
        assert ["v3"] == [each.tag for each in state.quarantine]


async def test_a_later_death_is_no_verdict(tmp_path: Path, host: MemoryHost):
    async with alive(tmp_path, host, probation=0.0) as life:
        await life.see("v1")
        await life.see("v2")
        await life.replica_set.drainer.ended()
        victim = life.replica_set.deployer.store.serving[0].id
        await host.kill(victim, 1)
        await eventually(lambda: ["v2"] * 2 == life.serving and victim not in host.held)

        assert [] == list(life.handlers.agent.state.quarantine)


async def test_a_restart_of_dewy_serves_before_the_registry_is_asked(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host, on_exit="leave") as life:
        await life.see("v1")
    left = set(host.held)
    async with alive(tmp_path, host) as life:
        assert ["v1"] * 2 == life.serving
        assert 0 == life.registry.asked
        await life.handlers.poller.once()

        assert (1, left) == (life.registry.asked, set(host.held))


async def test_running_version_is_recovered_without_state_or_registry(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host, on_exit="leave") as life:
        await life.see("v1")
        before = life.handlers.agent.state.running
    (tmp_path / ".dewy" / "state.json").unlink()
    async with alive(tmp_path, host) as life:
        found = life.handlers.agent.state.running

        assert before is not None
        assert found is not None
        assert (before.tag, before.identity) == (found.tag, found.identity)
        assert ["v1"] * 2 == life.serving


async def test_a_restart_of_the_host_starts_before_the_registry_is_asked(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host, on_exit="leave") as life:
        await life.see("v1")
    for held in list(host.held):
        await host.kill(held)
    served: list[list[str]] = []

    class Late(Names):
        async def current(self, tag: str | None = None) -> Release:
            served.append(life.serving)
            return await super().current(tag)

    async with alive(tmp_path, host, Late()) as life:
        await life.handlers.poller.once()

        assert [["v1"] * 2] == served


class Passing(Service):
    """A service manager that passes sockets."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.passed = [(name, socket.create_server(("127.0.0.1", 0))) for name in names]

    def port(self, number: int) -> int:
        return int(self.passed[number][1].getsockname()[1])

    def listeners(self) -> list[tuple[str, socket.socket]]:
        return self.passed


async def test_passed_socket_is_matched_by_address_then_name(
    tmp_path: Path, host: MemoryHost, caplog: pytest.LogCaptureFixture
):
    """What it is bound to counts, then its name; what nobody asked for is told."""
    service = Passing("anything", "9090", "odd")
    wanted = [service.port(1), service.port(0)]
    mappings = (PortMapping(9090, 8080), PortMapping(service.port(0), 8080))
    async with alive(tmp_path, host, service=service, port_mappings=mappings) as life:
        await life.see("v1")
        ports = life.replica_set.table.ports

        assert wanted == [each.endpoint.port for each in ports]
        assert [2, 2] == [len(each.serving) for each in ports]
    told = [r for r in caplog.records if r.getMessage() == "Passed socket is not used"]
    assert ["odd"] == [record.__dict__["socket"] for record in told]


async def test_port_with_address_listens_there_alone(tmp_path: Path, host: MemoryHost):
    mappings = (PortMapping(0, 8080, "127.0.0.1"), PortMapping(0, 8080, "::1"))
    async with alive(tmp_path, host, port_mappings=mappings) as life:
        await life.see("v1")
        ports = life.replica_set.table.ports

        assert ["127.0.0.1", "::1"] == [each.endpoint.host for each in ports]
        assert [2, 2] == [len(each.serving) for each in ports]


async def test_passed_socket_of_another_address_does_not_suit(
    tmp_path: Path, host: MemoryHost
):
    """Whoever names an address does not want another."""
    service = Passing("odd", "9090")
    mappings = (
        PortMapping(service.port(0), 8080, "127.0.0.2"),
        PortMapping(9090, 8080, "127.0.0.2"),
    )
    wanted = [("127.0.0.2", service.port(0)), ("127.0.0.1", service.port(1))]
    async with alive(tmp_path, host, service=service, port_mappings=mappings) as life:
        ports = life.replica_set.table.ports

        assert wanted == [(e.endpoint.host, e.endpoint.port) for e in ports]


async def test_two_roots_do_not_keep_the_same_application(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host):
        other = tmp_path / "other"
        other.mkdir()
        with pytest.raises(Exception, match="give this application another --name"):
            async with alive(other, host):
                pass
        assert [] == list(other.iterdir())
    await asyncio.sleep(0)


async def test_containers_of_another_dewy_survive_shutdown(
    tmp_path: Path, host: MemoryHost
):
    """One in another network namespace, say, which the lock does not keep out."""
    async with alive(tmp_path, host) as life:
        await life.see("v1")
        (made, *_) = life.replica_set.deployer.store.serving
        labels = {**made.container.labels, "dewy.root": "elsewhere:/srv/shop"}
        spec = {"Image": made.container.image, "Labels": labels}
        other = await MemoryEngine(host).create("other", spec)
        await MemoryEngine(host).start(other)
        await life.replica_set.deployer.heal(cast("Any", None))

    assert [other] == list(host.held)
    assert host.held[other].container.running
    await host.kill(other)


async def test_containers_left_by_another_root_are_adopted_and_removed(
    tmp_path: Path, host: MemoryHost
):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with alive(tmp_path / "one", host, on_exit="leave") as life:
        await life.see("v1")
    left = set(host.held)
    async with alive(tmp_path / "two", host) as life:
        assert ["v1"] * 2 == life.serving
        assert left == set(host.held)

    assert {} == host.held


@pytest.mark.parametrize("first", [True, False])
async def test_unhealthy_replicas_of_an_uncommitted_version_do_not_count_as_running(
    first: bool, tmp_path: Path, host: MemoryHost
):
    """Left by `kill -9`; what another program left without a state runs, if badly."""
    async with alive(tmp_path, host, on_exit="leave") as life:
        await life.see("v1")
    for held in host.held.values():
        assert isinstance(held.application, Shop)
        held.application.health = 503
    file = StateFile(tmp_path / ".dewy")
    await asyncio.to_thread(file.write, State())
    if first:
        file.path.unlink()
    async with alive(tmp_path, host) as life:
        running = life.handlers.agent.state.running

        assert ["v1"] * 2 == life.serving
        assert ("v1" if first else None) == (running and running.tag)
        await life.see("v2")
        assert ["v2"] * 2 == life.serving


async def test_replica_whose_image_is_gone_is_back_with_the_registry(
    tmp_path: Path, host: MemoryHost, monkeypatch: pytest.MonkeyPatch
):
    """A good poll after bad ones does not leave it to the next attempt."""
    monkeypatch.setattr("dewy.containers.reconciler.FIRST_PAUSE", 3600.0)
    monkeypatch.setattr("dewy.containers.reconciler.LONGEST_PAUSE", 3600.0)
    async with alive(tmp_path, host, replicas=1, probation=0.0) as life:
        await life.see("v1")
        known, published = life.registry.release, dict(host.registry)
        life.registry.release = None
        host.registry.clear()
        host.images.clear()
        await host.kill(life.replica_set.deployer.store.serving[0].id)
        assert life.replica_set.reconciler is not None
        reconciler = life.replica_set.reconciler
        await eventually(lambda: bool(reconciler.problem))
        await life.handlers.poller.once()
        assert [] == life.serving
        life.registry.release = known
        host.registry.update(published)
        await life.handlers.poller.once()

        await eventually(lambda: ["v1"] == life.serving)
