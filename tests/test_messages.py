"""No text for people holds a repr, or the name of a class."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dewy import logs
from dewy._speedups import COMPILED
from dewy.admin.verbs import VERBS
from dewy.cli import run
from dewy.cli.group import COMMANDS
from dewy.config import Address, Endpoint
from dewy.config.option import VERB
from dewy.config.settings import COMMANDS as TAKERS
from dewy.config.settings import options_of
from dewy.containers.options.arguments import parse
from dewy.containers.options.run_options import RUN_OPTIONS
from dewy.errors import ConfigError, DeploymentError, DewyError, RemoteError
from dewy.polling import Poller
from dewy.proxy import Proxy
from dewy.supervisor.sockets import open_listeners
from tests.containers.test_reconciler import first, kept, whole
from tests.containers.test_renewal import rolled
from tests.eventually import eventually
from tests.standins.agents import acting
from tests.standins.strange import internal, strange

Logged = Callable[[], str]


@pytest.fixture(params=["text", "json"])
def logged(request: pytest.FixtureRequest) -> Logged:
    """What dewy logs at the level debug, as an operator reads it."""
    stream = io.StringIO()
    logs.configure("debug", request.param, stream)

    def text() -> str:
        lines = stream.getvalue()
        if request.param == "json":
            # Its words are JSON's own, so what is left of Python is in the texts.
            told = [json.loads(line) for line in lines.splitlines()]
            return "\n".join(
                str(v) for each in told for v in each.values() if v == str(v)
            )
        return lines

    return text


def test_message_check_detects_reprs_and_class_names() -> None:
    for text in (
        "<Proxy of 1 ports, 2 threads>",
        "paused=False",
        "[Errno 111] Connect call failed ('127.0.0.1', 80)",
        "Installed(tag='v1')",
        "<dewy.x.Y object at 0x7f>",
        "the ReplicaStore is empty",
    ):
        assert strange(text), text
    assert [] == strange("v1 runs; see <https://a.test/?x=none> and GET /true")
    assert len(internal()) > 100


async def test_log_of_deployments(logged: Logged, tmp_path: Path) -> None:
    """Good ones, bad ones, those of a registry that is away, and a way back."""
    hooks = {"before_deploy_hook": "echo out", "after_deploy_hook": "exit 3"}
    async with acting(tmp_path, **hooks) as hands:
        agent = hands.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock, agent.deployment_log)
        for version in ("v1.0.0", "v1.1.0"):
            hands.publish(version)
            await poller.once()
        hands.publish("v1.2.0", b"no archive")
        for _ in range(2):
            await poller.once()
        await agent.follow_up.finished()

    assert "Deployment failed" in logged()
    assert [] == strange(logged())


async def test_log_of_replicas(logged: Logged, tmp_path: Path) -> None:
    """Started, dead, paused, unhealthy and replaced ones."""
    async with kept(tmp_path, health_interval=0.01) as bench:
        rows = rolled(bench)
        await eventually(lambda: rows and whole(bench))
        await bench.host.kill(first(bench).id, 7)
        await eventually(lambda: bench.deaths and whole(bench))
        sick = first(bench)
        bench.shops[sick.id].health = 500
        await eventually(lambda: sick.backends[0].ejected)

    assert "Replica died" in logged()
    assert [] == strange(logged())
    assert 'upstream=""' not in logged()


async def test_log_of_proxy_and_ports(logged: Logged) -> None:
    async with Proxy(threads=1 if COMPILED else 0, log_connections=True) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1"))
        port.add(Endpoint("127.0.0.1", 9))
        with socket.create_connection(port.endpoint.address):
            pass
        with pytest.raises(DewyError) as taken:
            await proxy.open(port.endpoint)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        number = holder.getsockname()[1]
        address = Address(str(number), "127.0.0.1", number)
        opening = asyncio.create_task(open_listeners([address], [], 60))
        await eventually(lambda: "Waiting for port" in logged())
    with await opening:
        pass

    assert [] == strange(f"{taken.value}\n{logged()}")


@pytest.mark.parametrize(
    ("exc", "told"),
    [
        (
            OSError(111, "Connect call failed ('127.0.0.1', 80)"),
            "127.0.0.1:80: Connection refused",
        ),
        (
            RemoteError("no: Connect call failed ('::1', 443, 0, 0)"),
            "no: [::1]:443: no connection",
        ),
        (
            OSError(
                98,
                "error while attempting to bind on address ('127.0.0.1', 80): "
                "address already in use",
            ),
            "cannot listen at 127.0.0.1:80: address already in use",
        ),
        (
            RemoteError("redis://x: Error 111 connecting to 127.0.0.1:1. Refused."),
            "redis://x: Refused.",
        ),
        (RemoteError("tcp://x: [Errno 111] Refused"), "tcp://x: Refused"),
        (DeploymentError("v1 failed"), "v1 failed"),
    ],
)
def test_errors_of_the_network_are_told_with_addresses(
    exc: Exception, told: str
) -> None:
    assert told == logs.summary(exc)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([name, "--help"])

    assert [] == strange(capsys.readouterr().out)


@pytest.mark.parametrize(
    "command", sorted(TAKERS - {"container list", VERB} | VERBS.keys())
)
def test_refusals_of_options(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each with values that it cannot have."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dewy.admin.discovery.SOCKETS", tmp_path / "none")
    for option in options_of(command):
        if option.kind.metavar:
            for value in ("", "\x00", "-1", "99999999999", "a b", "[::", "x://y"):
                run([command, f"--{option.name}={value}"])
    told = capsys.readouterr()

    assert "error: " in told.err
    assert [] == strange(told.err + told.out)


@pytest.mark.parametrize("name", sorted(RUN_OPTIONS))
def test_refusals_of_options_after_dashes(name: str, tmp_path: Path) -> None:
    for value in ("", ":", "-1", "=", "a b", "/", "host", "type=x,src"):
        refused = ""
        try:
            parse([f"--{name}={value}"], {}, tmp_path)
        except ConfigError as exc:
            refused = str(exc)

        assert [] == strange(refused)


async def test_reasons_of_status(tmp_path: Path) -> None:
    """Of a failed deployment, a lost registry and a held root."""
    async with acting(tmp_path) as hands:
        agent = hands.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock, agent.deployment_log)
        hands.publish("v1.0.0", b"no archive")
        await poller.once()
        state = replace(agent.state, hold=True)
        texts = [*poller.problems(), agent.status_reason, agent.describe()]
        texts += [entry.story for entry in state.quarantine]

    assert [] == strange("\n".join(texts))
