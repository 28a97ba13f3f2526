"""How a container is reached, and how dewy knows that it is the container."""

from __future__ import annotations

import errno
import socket

import pytest

from dewy.config import Endpoint
from dewy.containers.model import Container, Network
from dewy.containers.upstream import Upstreams, require_reach, source_address
from dewy.errors import ConfigError, EngineError
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost

RUNS = Container(
    "1",
    "a",
    "running",
    addresses={"own": "127.77.0.2"},
    published={80: 50080, 90: 50090},
)
DIRECT = (Endpoint("127.77.0.2", 80), Endpoint("127.77.0.2", 90))
PUBLISHED = (Endpoint("127.0.0.1", 50080), Endpoint("127.0.0.1", 50090))


@pytest.fixture
def engine() -> MemoryEngine:
    """An engine whose bridge is this host's way to the container."""
    host = MemoryHost("ways")
    source = source_address("127.77.0.2")
    assert source is not None
    host.networks["own"] = Network("own", "bridge", (source,))
    return MemoryEngine(host)


async def routes(
    engine: MemoryEngine,
    wanted: str,
    container: Container = RUNS,
    ports: tuple[int, ...] = (80, 90),
) -> list[tuple[Endpoint, ...]]:
    found = await Upstreams(engine).of(container, ports, wanted)
    return [route.endpoints for route in found]


async def test_direct_route_is_preferred_if_bridge_is_reachable(engine: MemoryEngine):
    assert [DIRECT, PUBLISHED] == await routes(engine, "auto")


@pytest.mark.parametrize(
    ("wanted", "expected"), [("direct", [DIRECT]), ("published", [PUBLISHED])]
)
async def test_the_operator_may_choose(
    wanted: str, expected: list[object], engine: MemoryEngine
):
    assert expected == await routes(engine, wanted)


async def test_an_address_that_another_way_leads_to_is_not_trusted(
    engine: MemoryEngine,
):
    """Some foreign host may have it."""
    engine.host.networks["own"] = Network("own", "bridge", ("172.18.0.1",))

    assert [PUBLISHED] == await routes(engine, "auto")


async def test_a_network_that_is_not_there_leads_nowhere(engine: MemoryEngine):
    del engine.host.networks["own"]

    assert [PUBLISHED] == await routes(engine, "auto")


async def test_an_engine_that_does_not_tell_costs_only_the_short_way(
    engine: MemoryEngine,
):
    engine.host.fail("network", EngineError("it hangs"))

    assert [PUBLISHED] == await routes(engine, "auto")


@pytest.mark.parametrize("wanted", ["auto", "published"])
def test_another_hosts_engine_is_refused(wanted: str, engine: MemoryEngine):
    """Its containers would be started, and looked for at ports of this host."""
    require_reach(engine, wanted)
    engine.local = False
    require_reach(engine, "direct")

    with pytest.raises(ConfigError, match=rf"^--upstream {wanted}: .* on another host"):
        require_reach(engine, wanted)


@pytest.mark.parametrize(("rootless", "local"), [(True, True), (False, False)])
async def test_where_addresses_are_not_this_hosts_they_are_not_tried(
    rootless: bool, local: bool, engine: MemoryEngine
):
    engine.rootless, engine.local = rootless, local

    assert [PUBLISHED] == await routes(engine, "auto")


async def test_a_port_that_is_not_published_leaves_no_way(engine: MemoryEngine):
    assert [] == await routes(engine, "published", ports=(80, 81))
    assert [] == await routes(engine, "published", ports=())


async def test_stopped_container_has_no_route(engine: MemoryEngine):
    assert [] == await routes(engine, "auto", Container("1", "a", "exited"))


def test_no_route_is_no_address():
    assert source_address("not an address") is None


async def test_brief_engine_failure_does_not_change_routes(engine: MemoryEngine):
    """Or all connections would be drained from one way to the other and back."""
    upstreams = Upstreams(engine)
    before = await upstreams.of(RUNS, (80, 90), "auto")
    engine.host.fail("network", EngineError("it hangs"))

    assert before == await upstreams.of(RUNS, (80, 90), "auto")


async def test_shortage_of_descriptors_is_no_missing_route(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is asked again, and the published port is not taken instead."""

    def short(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", short)

    with pytest.raises(EngineError, match="Too many open files"):
        await routes(engine, "auto")
