"""What operators ask of a dewy that keeps containers, on a real engine."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from tests.eventually import eventually
from tests.standins import roots
from tests.standins.container_load import ContainerLoad
from tests.standins.container_site import ContainerDewy
from tests.standins.engines import RealEngine, tcp_door
from tests.standins.images import Publisher

OLD, NEW = "v1.0.0", "v1.1.0"
SECRET = "hunter2-and-more"


async def told(dewy: ContainerDewy, *command: str) -> str:
    """What a command that succeeds prints."""
    said = await roots.say(dewy.root, *command)
    assert (0, "") == (said.status, said.err), said
    return said.out


async def test_versions_are_chosen_as_for_programs(site: ContainerDewy) -> None:
    """Roll back, hold, retry, deploy a version; a tag pushed anew is a release."""
    site.replicas = 1
    await site.push(OLD)
    async with site:
        await site.serves(OLD)
        await site.push(NEW)
        await site.serves(NEW)
        await told(site, "rollback")
        await site.serves(OLD)
        await site.alone(OLD)
        assert OLD == await site.fetch("/version")
        await told(site, "retry", NEW)
        await site.serves(NEW)
        await told(site, "deploy", OLD)
        assert (await site.serves(OLD))["hold"]
        await site.push("v1.2.0")
        await told(site, "unhold")
        await site.serves("v1.2.0")
        before = await site.alone("v1.2.0")
        pushed = await site.push("v1.2.0", env={"AGAIN": "yes"})
        await site.until(
            lambda now: (now["running"] or {}).get("identity") == pushed.digest
        )
        await site.serves("v1.2.0")
        assert not set(before) & set(await site.alone("v1.2.0"))
        assert "yes" == await site.fetch("/env/AGAIN")


async def test_containers_are_listed(site: ContainerDewy, unused_tcp_port_factory):
    """As the original showed them, and as JSON."""
    admin = str(unused_tcp_port_factory())
    site.options = ("--admin-port", admin)
    await site.push(OLD)
    async with site:
        await site.serves(OLD)
        shown = await told(site, "container", "list", "--admin-port", admin)
        listed = await told(site, "container", "list", "--admin-port", admin, "--json")
        logs = await told(site, "logs", "-n", "1")
        why = await told(site, "why", OLD)
        real = {each["Id"]: each for each in await site.containers()}
    said = {line.partition(" | ")[0::2] for line in logs.splitlines()}
    greeting = f"listening on 8080, version {OLD}"
    assert {(each["Name"].lstrip("/"), greeting) for each in real.values()} == said
    assert why.startswith(f"{OLD}: runs\n")
    heading, *lines = shown.splitlines()
    assert ["UPSTREAM", "DEPLOY", "TIME", "NAME"] == heading.split()
    assert {each["Name"].lstrip("/") for each in real.values()} == {
        line.split()[-1] for line in lines
    }
    found = {each["id"]: each for each in json.loads(listed)["containers"]}
    assert set(real) == set(found)
    for name, each in found.items():
        assert (OLD, "running", "healthy") == (
            each["version"],
            each["status"],
            each["health"],
        )
        binding = real[name]["NetworkSettings"]["Ports"]["8080/tcp"][0]
        assert each["ip_port"] == f"127.0.0.1:{binding['HostPort']}"


async def test_changed_options_roll(site: ContainerDewy) -> None:
    """By `dewy reload` and by SIGHUP; also more or fewer replicas."""
    variables = site.base / "variables"
    variables.write_text(f"SHOWN=one\nTOKEN={SECRET}\n")
    site.run_options = ("--env-file", str(variables), "-e", "FIXED=yes", "-m", "64m")
    file = site.base / "root" / "dewy.toml"
    file.parent.mkdir()
    site.replicas = 0
    file.write_text("replicas = 2\n")
    await site.push(OLD)
    async with site:
        await site.serves(OLD, 2)
        before = await site.alone(OLD, 2)
        async with ContainerLoad(site.port, rate=50, kept=4) as load:
            variables.write_text(f"SHOWN=two\nTOKEN={SECRET}\n")
            await told(site, "reload")
            await eventually(lambda: answers(site, "/env/SHOWN", "two"))
            await site.serves(OLD, 2)
            second = await site.alone(OLD, 2)
            assert not set(before) & set(second)
            file.write_text("replicas = 3\n")
            site.signal(signal.SIGHUP)
            await site.serves(OLD, 3)
            assert set(second) < set(await site.alone(OLD, 3))
            file.write_text("replicas = 1\n")
            site.signal(signal.SIGHUP)
            await site.serves(OLD, 1)
            last = await site.alone(OLD, 1)
            assert set(last) < set(second)
        (shown,) = await site.containers()
        await site.until(lambda status: not status["degraded"])
        file.write_text("replicas = nonsense\n")
        said = await roots.say(site.root, "reload")
        assert 0 != said.status
        assert 1 == len(said.err.splitlines())
        assert last == await site.alone(OLD, 1)
    assert {} == load.report.failures, load.report.examples
    assert 64 << 20 == shown["HostConfig"]["Memory"]
    assert {"FIXED=yes", "SHOWN=two", f"TOKEN={SECRET}"} <= set(shown["Config"]["Env"])
    assert SECRET not in site.log
    assert SECRET not in (site.root / ".dewy" / "history.jsonl").read_text()


async def answers(site: ContainerDewy, path: str, expected: str) -> bool:
    return await site.fetch(path) == expected


async def test_paused_connections_wait_and_are_served(site: ContainerDewy) -> None:
    """Until `dewy resume`, or the time is over."""
    site.replicas = 1
    await site.push(OLD)
    async with site:
        await site.serves(OLD)
        await told(site, "pause")
        waiting = [asyncio.create_task(site.fetch("/version")) for _ in range(5)]
        status = await site.ask("status")
        assert status["paused"]
        assert [] == status["degraded"]
        assert "new connections are paused" in "".join(status["attention"])
        await site.polls()
        assert not any(each.done() for each in waiting)
        await told(site, "resume")
        assert [OLD] * 5 == await asyncio.gather(*waiting)
        await told(site, "pause", "--for", "500ms")
        assert OLD == await site.fetch("/version")


async def test_containers_left_on_exit_are_adopted(site: ContainerDewy) -> None:
    """With `--on-exit leave`; else nothing remains."""
    site.options = ("--on-exit", "leave")
    await site.push(OLD)
    async with site:
        await site.serves(OLD)
        before = await site.alone(OLD)
    site.options = ()
    async with site:
        await site.serves(OLD)
        assert before == await site.alone(OLD)
        assert 'msg="Started container"' not in site.log.partition("Adopted")[2]
    assert [] == await site.containers()


async def test_a_secret_is_never_told(site: ContainerDewy) -> None:
    """Not even by the engine's own words about a start that failed."""
    (site.base / "file").touch()
    site.run_options = (
        *("-e", f"TOKEN={SECRET}", "-v", f"{site.base}/file/below:/data"),
        *("--entrypoint", f"/nowhere/{SECRET}"),
    )
    site.replicas = 1
    pushed = await site.push(OLD)
    async with site:
        reason = await site.refuses(OLD)
        status = await told(site, "status", "--json")
        processes = [
            path.read_bytes()
            for child in children(site.process.pid)
            for path in [Path(f"/proc/{child}/cmdline")]
        ]
        await site.gone()
    history = (site.root / ".dewy" / "history.jsonl").read_text()
    assert OLD in history
    assert pushed.digest in status
    for text in (reason, status, history, site.log):
        assert f"TOKEN={SECRET}" not in text
        assert f"={SECRET}" not in text
    assert not any(SECRET.encode() in line for line in processes)


def children(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [word for task in tasks for word in (task / "children").read_text().split()]


async def test_images_are_pruned_and_those_of_others_are_not(
    site: ContainerDewy,
) -> None:
    """What is kept, what runs, and what somebody tagged themselves stays."""
    site.options = ("--keep", "2")
    site.replicas = 1
    pushed = []
    mine = f"{site.engine.name('mine')}:latest"
    async with site, site.engine.client() as docker:
        for version in (OLD, NEW, "v1.2.0", "v1.3.0"):
            pushed.append(await site.push(version))
            await site.serves(version)
            if version == OLD:
                name, tag = mine.split(":")
                await docker.images.tag(pushed[0].by_digest, repo=name, tag=tag)
        await site.alone("v1.3.0")

        async def left() -> list[bool]:
            return [
                await site.engine.engine.image(each.by_digest) is not None
                for each in pushed
            ]

        await eventually(lambda: pruned(left, [False, False, True, True]))
        assert await docker.images.inspect(mine)


async def pruned(left, expected: list[bool]) -> bool:
    return (await left())[1:] == expected[1:]


async def test_applications_with_same_image_name_do_not_interfere(
    docker: RealEngine, publisher: Publisher, tmp_path, unused_tcp_port_factory
) -> None:
    """And foreign containers; two roots with the same application do not."""
    sites = []
    for team in ("one", "two"):
        base = tmp_path / team
        base.mkdir()
        repository = docker.name(f"team-{team}") + "/api"
        port = unused_tcp_port_factory()
        made = ContainerDewy(
            base, port, engine=docker, publisher=publisher, repository=repository
        )
        made.replicas = 1
        sites.append(made)
        await made.push(OLD)
    one, two = sites
    async with one, two, docker.client() as client:
        await asyncio.gather(one.serves(OLD), two.serves(OLD))
        others = await two.alone(OLD)
        foreign = await client.containers.create(
            {
                "Image": (await one.containers())[0]["Config"]["Image"],
                "Labels": {"dewy.app": "api"},
            }
        )
        await foreign.start()
        await one.push(NEW)
        await one.serves(NEW)
        assert others == await two.alone(OLD)
        (tmp_path / "again").mkdir()
        rival = ContainerDewy(
            tmp_path / "again",
            unused_tcp_port_factory(),
            engine=docker,
            publisher=publisher,
            repository=two.repository,
        )
        async with tcp_door(docker.environ["DOCKER_HOST"]) as door:
            for place in (docker.environ["DOCKER_HOST"], door):
                rival.variables["DOCKER_HOST"] = place
                await rival.start()
                assert 1 == await rival.exit_status()
                assert f"are kept by the dewy in {two.root};" in rival.log
                assert "Traceback" not in rival.log
        await one.stop()
        assert others == await two.alone(OLD)
        assert OLD == await two.fetch("/version")
        assert (await foreign.show())["State"]["Running"]
        await foreign.delete(force=True)


async def test_replicas_may_join_the_bridge_of_the_engine(
    engine: RealEngine, publisher: Publisher, tmp_path: Path, unused_tcp_port: int
) -> None:
    """As those of the original do: rules for its addresses go on to hold."""
    site = ContainerDewy(
        tmp_path,
        unused_tcp_port,
        engine=engine,
        publisher=publisher,
        replicas=1,
        run_options=("--network", "bridge"),
    )
    await site.push(OLD)
    async with site:
        await site.serves(OLD)
        (shown,) = await site.containers()
        usual = "bridge" if site.engine.runtime == "docker" else "podman"
        assert [usual] == list(shown["NetworkSettings"]["Networks"])
        assert OLD == await site.fetch("/version")
        (listed,) = (await site.ask("containers"))["containers"]
        assert "direct" == listed["way"]


async def test_command_runs_in_a_replica(site: ContainerDewy) -> None:
    """With its output and its exit status, by the engine's own tool."""
    site.replicas = 2
    await site.push(OLD, env={"GREETING": "hello"})
    async with site:
        await site.serves(OLD, 2)
        shown = await told(site, "exec", "--replica", "1", "--", "/app", "check")
        failed = await roots.say(site.root, "exec", "--", "/no/such/command")
    assert "" == shown
    assert 126 <= failed.status <= 127
