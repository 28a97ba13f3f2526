"""How replicas are made: what differs makes another recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import PortMapping, Reloadable, Settings
from dewy.containers.container_spec import (
    ContainerSpec,
    ContainerSpecs,
    container_ports,
)
from dewy.containers.image_store import FoundImage, find_image
from dewy.containers.model import Engine, Image
from dewy.containers.options.arguments import RunOptions, parse
from dewy.deploy.state import Installed
from dewy.errors import DeploymentError
from tests.standins.fleets import REPOSITORY, SHOP
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost


async def container_spec(
    root: Path, tag: str = "v1", options: RunOptions | None = None, **given: Any
) -> ContainerSpec:
    host = MemoryHost("recipes")
    engine = MemoryEngine(host)
    name = host.publish(f"{REPOSITORY}:{tag}", ports=(8080,))
    await engine.pull(name, None, lambda done, total: None)
    usual: dict[str, Any] = {"port_mappings": (PortMapping(80),)}
    settings = Settings(command="container", root=root, cache_dir=root, **usual | given)
    options = options or RunOptions()
    version = Installed(tag, name.partition("@")[2], "", 1.0)
    return await specified(engine, version, factory(engine, settings, options))


def factory(engine: Engine, settings: Settings, options: RunOptions) -> ContainerSpecs:
    """Specifications of images that are pulled when they are missing."""

    async def ensure(version: Installed) -> FoundImage:
        name = f"{REPOSITORY}@{version.identity}"
        await engine.pull(name, None, lambda done, total: None)
        found = await find_image(engine, SHOP, version.identity)
        assert found is not None
        return found

    return ContainerSpecs(
        engine, SHOP, Reloadable(settings), Reloadable(options), ensure
    )


async def specified(
    engine: Engine, version: Installed, container_specs: ContainerSpecs
) -> ContainerSpec:
    found = await find_image(engine, SHOP, version.identity)
    assert found is not None
    return container_specs.of(version, found)


async def test_a_replica_is_made_from_exactly_these_bytes(tmp_path: Path):
    made = await container_spec(tmp_path)
    body = made.body(2)

    assert f"{REPOSITORY}@{made.version.identity}" == body["Image"]
    assert "2" == body["Labels"]["dewy.replica"]
    assert made.spec == body["Labels"]["dewy.spec"]
    assert "80:8080" == body["Labels"]["dewy.ports"]
    assert (8080,) == made.ports


async def test_they_have_a_network_of_their_own_or_the_operators(tmp_path: Path):
    own = await container_spec(tmp_path)
    other = await container_spec(
        tmp_path, options=parse(("--network", "x"), {}, tmp_path)
    )

    assert (SHOP.network, "") == (own.network, other.network)
    networks = [each.body(0)["HostConfig"]["NetworkMode"] for each in (own, other)]
    assert [SHOP.network, "x"] == networks


async def test_the_same_makes_the_same(tmp_path: Path):
    assert (await container_spec(tmp_path)).spec == (
        await container_spec(tmp_path)
    ).spec


@pytest.mark.parametrize(
    "given",
    [{"cmd": ("serve", "--loud")}, {"port_mappings": (PortMapping(80, 9090),)}],
)
async def test_changed_command_or_ports_change_specification(
    given: Any, tmp_path: Path
):
    assert (await container_spec(tmp_path)).spec != (
        await container_spec(tmp_path, **given)
    ).spec


async def test_the_proxys_port_makes_no_difference(tmp_path: Path):
    other = await container_spec(tmp_path, port_mappings=(PortMapping(81),))

    assert (await container_spec(tmp_path)).spec == other.spec


async def test_image_removed_before_a_container_is_made_is_pulled_again(
    tmp_path: Path,
):
    host = MemoryHost("removed")
    engine = MemoryEngine(host)
    name = host.publish(f"{REPOSITORY}:v1")
    await engine.pull(name, None, lambda done, total: None)
    settings = Settings(command="container", root=tmp_path, cache_dir=tmp_path)
    version = Installed("v1", name.partition("@")[2], "", 1.0)
    container_specs = factory(engine, settings, RunOptions())
    made = await specified(engine, version, container_specs)
    host.images.clear()

    assert await made.create("shop-1", 0) in host.held


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "/cache, /data"),
        (("-v", "data:/data"), "/cache"),
        (("--mount", "type=tmpfs,target=/cache/", "-v", "/data"), "/data"),
        (("--tmpfs", "/cache", "-v", "/srv/data:/data:ro"), ""),
        (("-v", "/more"), "/cache, /data, /more"),
    ],
)
async def test_data_that_goes_with_its_container_is_told_once(
    options: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    host = MemoryHost("volumes")
    engine = MemoryEngine(host)
    name = host.publish(f"{REPOSITORY}:v1", volumes=("/data", "/cache"))
    await engine.pull(name, None, lambda done, total: None)
    settings = Settings(command="container", root=tmp_path, cache_dir=tmp_path)
    version = Installed("v1", name.partition("@")[2], "", 1.0)
    asked = parse(options, {}, tmp_path)
    container_specs = factory(engine, settings, asked)
    for _ in range(2):
        await specified(engine, version, container_specs)
    kept = replace(settings, keep_volumes=True)
    await specified(engine, version, factory(engine, kept, asked))

    told = [vars(each)["volumes"] for each in caplog.records]
    assert ([expected] if expected else []) == told


async def test_each_attempt_has_a_name_of_its_own(tmp_path: Path):
    made = await container_spec(tmp_path)
    names = {made.name(index, attempt) for index in range(3) for attempt in range(3)}

    assert 9 == len(names)
    assert all(name.startswith("shop-") for name in names)
    assert replace(made, base="other").name(0).startswith("other-")


IMAGE = Image("sha256:1", ports=(8080,))


@pytest.mark.parametrize(
    ("mappings", "ports", "expected"),
    [
        ((PortMapping(80),), (8080,), (8080,)),
        ((PortMapping(80, 9000),), (8080,), (9000,)),
        ((PortMapping(80, 9000),), (), (9000,)),
        ((PortMapping(80, 1), PortMapping(81, 2)), (3, 4), (1, 2)),
        ((PortMapping(80), PortMapping(81, 2)), (3,), (3, 2)),
    ],
)
def test_unspecified_container_port_is_taken_from_image(
    mappings: Any, ports: tuple[int, ...], expected: tuple[int, ...]
):
    assert expected == container_ports(mappings, replace(IMAGE, ports=ports))


@pytest.mark.parametrize(
    ("ports", "why"),
    [((), "exposes none"), ((1, 2), "exposes 1, 2")],
)
def test_a_port_that_cannot_be_told_is_an_error_with_its_remedy(
    ports: tuple[int, ...], why: str
):
    with pytest.raises(DeploymentError, match=why) as caught:
        container_ports((PortMapping(80),), replace(IMAGE, ports=ports))

    assert str(caught.value).endswith("use --port 80:PORT")
