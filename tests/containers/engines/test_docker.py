"""Where Docker and Podman differ, and what neither may do to us."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable

import pytest

from dewy.containers.engines.client import connected
from dewy.containers.engines.docker import DockerEngine, recognised
from dewy.containers.engines.opening import EngineAddress
from dewy.containers.model import Engine
from dewy.errors import EngineError, NameTaken
from tests.containers.conftest import SHORT
from tests.containers.engines.test_decode import ID, inspected
from tests.eventually import eventually
from tests.standins.engines import RealEngine
from tests.standins.fake_engine import PODMAN, FakeEngine
from tests.standins.images import Publisher

Call = Callable[[Engine], Awaitable[object]]

CALLS: dict[str, Call] = {
    "containers": lambda engine: engine.containers(),
    "inspect": lambda engine: engine.inspect("a"),
    "create": lambda engine: engine.create("a", {"Image": "r/x:1"}),
    "start": lambda engine: engine.start("a"),
    "stop": lambda engine: engine.stop("a", 0),
    "remove": lambda engine: engine.remove("a"),
    "logs": lambda engine: engine.logs("a", 5),
    "image": lambda engine: engine.image("r/x:1"),
    "images": lambda engine: engine.images("r/x"),
    "pull": lambda engine: engine.pull("r/x:1", None, print),
    "remove_image": lambda engine: engine.remove_image("r/x:1"),
    "network": lambda engine: engine.network("n"),
    "create_network": lambda engine: engine.create_network("n", {}),
    "remove_network": lambda engine: engine.remove_network("n"),
}
SILENT_IF_UNDERSTOOD = {"start", "stop", "remove"}
"""Calls whose good answers are empty; any answer will do."""


@pytest.mark.parametrize("name", CALLS)
async def test_engine_that_hangs_is_given_up(
    fake: FakeEngine, docker: DockerEngine, name: str
) -> None:
    fake.hanging = {"*"}

    with pytest.raises(EngineError, match="no answer for"):
        await CALLS[name](docker)


@pytest.mark.parametrize("garbage", [b"", b"<html>", b"[17]", b'{"message": 5}'])
@pytest.mark.parametrize("name", sorted(CALLS.keys() - SILENT_IF_UNDERSTOOD))
async def test_engine_that_answers_garbage_is_not_believed(
    fake: FakeEngine, docker: DockerEngine, name: str, garbage: bytes
) -> None:
    for path in PATHS:
        fake.answer(path, garbage)

    with pytest.raises(EngineError) as refused:
        await CALLS[name](docker)
    assert "\n" not in str(refused.value)


PATHS = [
    "containers/json",
    "containers/a/json",
    "containers/create",
    "containers/a/logs",
    "images/r/x:1/json",
    "images/json",
    "images/create",
    "networks",
    "networks/create",
]


@pytest.mark.parametrize("name", CALLS)
async def test_engine_that_is_gone_is_told(name: str) -> None:
    async with FakeEngine() as fake:
        place = EngineAddress(fake.url)
        async with connected(place, "Docker", {}, SHORT) as wire:
            engine = await recognised(wire, systemd=False, linux=True)
            fake.path.unlink()

            with pytest.raises(EngineError, match="no connection"):
                await CALLS[name](engine)


async def test_create_error_masks_secrets_of_specification(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """Not even the traceback has it."""
    message = {"message": "bad environment TOKEN=verysecret and arg s3cr3t"}
    fake.answer("containers/create", message, 400)
    spec = {"Image": "r/x", "Env": ["TOKEN=verysecret"], "Cmd": ["s3cr3t"]}

    with pytest.raises(EngineError, match=r"bad environment \*\*\* and") as refused:
        await docker.create("a", spec)

    shown = "".join(traceback.format_exception(refused.value))
    assert "verysecret" not in shown
    assert "s3cr3t" not in shown


async def test_failed_start_quotes_no_environment(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """The engine is asked what must not be shown."""
    fake.answer("containers/a/start", {"message": "exec verysecret: no"}, 500)
    fake.answer("containers/a/json", inspected())

    with pytest.raises(EngineError, match=r"exec \*\*\*: no") as refused:
        await docker.start("a")

    assert "verysecret" not in "".join(traceback.format_exception(refused.value))


async def test_failed_start_says_nothing_where_secrets_are_unknown(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    fake.answer("containers/a/start", {"message": "exec verysecret: no"}, 500)
    fake.hanging = {"containers/a/json"}

    with pytest.raises(EngineError) as refused:
        await docker.start("a")

    assert "verysecret" not in "".join(traceback.format_exception(refused.value))


async def test_stop_gives_the_container_its_time(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """Whole seconds, never fewer than were asked for."""
    fake.answer("containers/a/stop", None, 204)

    await docker.stop("a", 2.1)

    assert "3" == fake.asked[-1].query["t"]


async def test_paused_container_is_unpaused_when_stop_fails(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    words = "a is running or paused, refusing to clean up: container state improper"
    fake.answer("containers/a/stop", {"message": words}, 500)
    fake.answer("containers/a/unpause", None, 204)
    fake.answer("containers/a/stop", None, 204)

    await docker.stop("a", 2.0)

    calls = ["stop", "unpause", "stop"]
    assert calls == [each.path.rpartition("/")[2] for each in fake.asked[-3:]]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "No such container: a"),
        (409, "removal of container a is already in progress"),
    ],
)
async def test_removing_already_removed_container_is_no_error(
    fake: FakeEngine, docker: DockerEngine, status: int, text: str
) -> None:
    fake.answer("containers/a", {"message": text}, status)

    await docker.remove("a", force=True)


async def test_container_that_vanishes_is_not_listed(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """It was there when the list was made."""
    fake.answer("containers/json", [{"Id": ID}, {"Id": "gone"}])
    fake.answer(f"containers/{ID}/json", inspected())

    assert [ID] == [one.id for one in await docker.containers({"mine": None})]
    assert '{"label": ["mine"]}' == fake.asked[-3].query["filters"]


async def test_logs_that_can_not_be_read_are_none(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    message = "configured logging driver does not support reading"
    fake.answer("containers/a/json", {"Config": {"Tty": False}})
    fake.answer("containers/a/logs", {"message": message}, 500)

    assert () == await docker.logs("a", 5)
    assert () == await docker.written("a", 5)


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        ({"Status": "healthy", "FailingStreak": 0, "Log": None}, 200, True),
        ({"Status": "healthy", "FailingStreak": 1, "Log": None}, 200, False),
        ({"Status": "starting", "FailingStreak": 0, "Log": None}, 200, False),
        ({"Status": "unhealthy", "FailingStreak": 3, "Log": None}, 200, False),
        ({"cause": "has no defined healthcheck"}, 409, None),
        ({"cause": "no such container"}, 404, None),
    ],
)
async def test_podman_without_timers_is_made_to_check(
    answer: object, status: int, expected: bool | None
) -> None:
    async with FakeEngine(**PODMAN) as fake:
        fake.answer("libpod/containers/a/healthcheck", answer, status)
        async with connected(EngineAddress(fake.url), "Podman", {}, SHORT) as wire:
            engine = await recognised(wire, systemd=False, linux=True)
            with_timers = await recognised(wire, systemd=True, linux=True)

            assert expected is await engine.check_health("a")
            assert await with_timers.check_health("a") is None


async def running(engine: RealEngine, image: str, **more: object) -> str:
    """The id of a container that has started."""
    await engine.engine.pull(image, None, lambda done, total: None)
    spec = {"Image": image, "Labels": dict(engine.labels), **more}
    made = await engine.engine.create(engine.name(), spec)
    await engine.engine.start(made)
    return made


async def test_output_is_kept(engine: RealEngine, publisher: Publisher) -> None:
    """What it wrote to either stream, the end of it."""
    pushed = await publisher.publish(engine.name(), "v1")
    container = await running(engine, pushed.by_digest)
    await engine.engine.stop(container, 10)

    lines = await engine.engine.logs(container, 10)

    assert "listening on 8080, version v1" == lines[0]
    assert "exiting with 0" == lines[-1]
    assert ("exiting with 0",) == await engine.engine.logs(container, 1)


async def test_output_can_be_followed(engine: RealEngine, publisher: Publisher) -> None:
    """By the moment of the last line that was read."""
    pushed = await publisher.publish(engine.name(), "v1")
    container = await running(engine, pushed.by_digest)

    async def written() -> bool:
        return bool(await engine.engine.written(container, 10))

    await eventually(written)
    first = await engine.engine.written(container, 10)
    assert ["listening on 8080, version v1"] == [line.text for line in first]
    assert () == await engine.engine.written(container, 10, first[-1].at)
    await engine.engine.stop(container, 10)
    rest = await engine.engine.written(container, 10, first[-1].at)

    assert "listening on 8080, version v1" not in [line.text for line in rest]
    assert "exiting with 0" == rest[-1].text


async def test_container_that_will_not_end_is_killed(
    engine: RealEngine, publisher: Publisher
) -> None:
    pushed = await publisher.publish(engine.name(), "v1", env={"IGNORE_TERM": "1"})
    container = await running(engine, pushed.by_digest)

    await engine.engine.stop(container, 1)

    ended = await engine.engine.inspect(container)
    assert ended is not None
    assert ("exited", 137) == (ended.state, ended.exit_code)


async def test_healthcheck_is_run_by_somebody(
    engine: RealEngine, publisher: Publisher
) -> None:
    """By Docker itself; by Podman when it is told."""
    pushed = await publisher.publish(engine.name(), "v1", healthcheck=True)
    container = await running(engine, pushed.by_digest)

    verdict = None

    async def healthy() -> bool:
        nonlocal verdict
        verdict = await engine.engine.check_health(container)
        shown = await engine.engine.inspect(container)
        assert shown is not None
        return shown.health == "healthy"

    await eventually(healthy)
    assert {"docker": None, "podman": True}[engine.runtime] is verdict


async def test_program_that_is_not_there_is_told(
    engine: RealEngine, publisher: Publisher
) -> None:
    pushed = await publisher.publish(engine.name(), "v1")

    with pytest.raises(EngineError, match="/absent") as refused:
        await running(
            engine,
            pushed.by_digest,
            Entrypoint=["/absent", "hidden-argument"],
            Env=["TOKEN=verysecret"],
        )

    assert not isinstance(refused.value, NameTaken)
    shown = "".join(traceback.format_exception(refused.value))
    assert "verysecret" not in shown
    assert "hidden-argument" not in shown


@pytest.mark.parametrize("kept", [False, True])
async def test_anonymous_volumes_go_unless_they_are_kept(
    engine: RealEngine, publisher: Publisher, kept: bool
) -> None:
    pushed = await publisher.publish(engine.name(), "v1", volumes=["/data"])
    await engine.engine.pull(pushed.by_digest, None, lambda done, total: None)
    image = await engine.engine.image(pushed.by_digest)
    assert image is not None
    assert ("/data",) == image.volumes
    made = await engine.engine.create(engine.name(), {"Image": pushed.by_digest})
    async with engine.client() as client:
        shown = await client.containers.container(made).show()
        (volume,) = [mount["Name"] for mount in shown["Mounts"]]
        await engine.engine.remove(made, keep_volumes=kept)
        left = {each["Name"] for each in (await client.volumes.list())["Volumes"]}
        if kept:
            await (await client.volumes.get(volume)).delete()

    assert kept == (volume in left)
