"""A replica that dies under load: another one serves, and its address is let go."""

from __future__ import annotations

import asyncio

import aiodocker

from tests.eventually import eventually
from tests.needs import needs
from tests.standins.container_load import ContainerLoad
from tests.standins.container_site import ContainerDewy
from tests.standins.engines import RealEngine
from tests.standins.images import Publisher
from tests.standins.witness import Witness

pytestmark = needs("raw-sockets")

VERSION = "v1.0.0"
ENDED = "Process of a replica ended"
SUBNETS = {"docker": range(100, 175), "podman": range(175, 250)}
"""Each engine refuses its own again, and knows nothing of the other's."""


async def test_killed_replica_loses_only_its_connections_and_is_replaced(
    engine: RealEngine, publisher: Publisher, tmp_path, unused_tcp_port, measured
) -> None:
    """
    Not even when its address is given to a stranger at once.

    Every connection that broke is traced: it had carried its request to the dead one.
    """
    network = engine.name("net")
    dewy = ContainerDewy(
        tmp_path,
        unused_tcp_port,
        engine=engine,
        publisher=publisher,
        options=["--log-level", "debug"],
        run_options=["--network", network],
    )
    await dewy.push(VERSION)
    stranger = await publisher.publish(
        engine.name("stranger"), "v9.9.9", env={"SAY_CONNECTIONS": "1"}
    )
    await engine.engine.pull(stranger.by_digest, None, lambda *_: None)
    async with engine.client() as docker:
        await make_network(docker, network, engine)
        async with dewy:
            await dewy.serves(VERSION)
            before = await dewy.alone(VERSION)
            told = (await dewy.ask("containers"))["containers"]
            assert ["direct"] * 3 == [each["way"] for each in told]
            victim, *_ = await dewy.containers()
            address = victim["NetworkSettings"]["Networks"][network]["IPAddress"]
            foreign = await docker.containers.create(
                {
                    "Image": stranger.by_digest,
                    "HostConfig": {"NetworkMode": network},
                    "NetworkingConfig": {
                        "EndpointsConfig": {
                            network: {"IPAMConfig": {"IPv4Address": address}}
                        }
                    },
                }
            )
            async with (
                Witness(address) as witness,
                ContainerLoad(dewy.port, rate=100, kept=6, slow=2) as load,
            ):
                killed = docker.containers.container(victim["Id"])
                await killed.kill(signal="SIGKILL")
                await eventually(lambda: started(foreign))
                await load.goes_on(200)
                await dewy.serves(VERSION)
                after = await dewy.alone(VERSION)
                await load.goes_on(500)
            shown = await foreign.show()
            networks = shown["NetworkSettings"]["Networks"]
            assert address == networks[network]["IPAddress"]
            log = "".join(await foreign.log(stdout=True, stderr=True))
        measured(load.report)

    # The kernel told of it first; the engine, at its leisure.
    seen, told = (dewy.log.index(each) for each in (ENDED, "Replica died"))
    assert seen < told
    assert "accepted" not in log
    assert {VERSION} == set(load.report.versions)
    broken = load.report.broken
    assert len(broken) == load.report.failures.total() + load.report.retried
    # What it held when it died; of all others, old and new, not one.
    assert set(broken) <= witness.seen, load.report.examples
    assert load.report.failures.keys() <= {"reset", "short"}, load.report.examples
    assert 2 == len(set(before) & set(after))
    assert [] == await dewy.containers()


async def started(container: aiodocker.docker.DockerContainer) -> bool:
    """Whether it could be started: its address is still taken for a moment."""
    try:
        await container.start()
    except aiodocker.DockerError:
        return False
    return True


async def make_network(docker, name: str, engine: RealEngine) -> None:
    """A bridge whose subnet nobody else has, so that addresses may be chosen."""
    for third in SUBNETS[engine.runtime]:
        subnet = f"10.217.{third}.0/24"
        try:
            await docker.networks.create(
                {
                    "Name": name,
                    "Driver": "bridge",
                    "Labels": dict(engine.labels),
                    "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet}]},
                }
            )
        except aiodocker.DockerError:
            await asyncio.sleep(0)
            continue
        return
    raise AssertionError("no subnet is free")
