"""Telemetry of a dewy that runs: what it answers, and what it tells a collector."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dewy import __version__
from dewy.config import Address
from dewy.remotes.memory import MemoryStore
from tests.daemon.test_run import (  # noqa: F401
    Given,
    alone,
    publish,
    running,
    runs,
    settings,
    store,
    until,
)
from tests.eventually import eventually
from tests.needs import found, needs
from tests.standins import programs
from tests.standins.receiving import Receiver

if found("telemetry"):
    from dewy.telemetry import push
    from tests.standins.collector import Collector
    from tests.standins.scrapes import names, scraped, value

pytestmark = needs("telemetry")

# ruff: noqa: F811


def serves(generation: int) -> Callable[[dict[str, Any]], bool]:
    """Whether this generation, and no other, is in service."""
    return lambda status: (
        [(generation, "serving")]
        == [(each["generation"], each["state"]) for each in status["generations"]]
    )


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


async def test_a_program_is_measured(
    settings: Given,
    store: MemoryStore,
    tmp_path: Path,
    collector: Collector,
    unused_tcp_port_factory,
) -> None:
    """What was deployed, restarted and died, and what polling costs."""
    publish(store, "v1.0.0")
    port, admin = unused_tcp_port_factory(), unused_tcp_port_factory()
    serving = settings(
        command="server",
        program=programs.COMMAND,
        ports=(Address(f"127.0.0.1:{port}", "127.0.0.1", port),),
        health_path="/up",
        probation=0.0,
        admin_port=admin,
        # Which turns /metrics on as well.
        otlp_endpoint=collector.endpoint,
        otlp_insecure=True,
    )
    async with running(serving) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        publish(store, "v2.0.0")
        await until(task, tmp_path, runs("v2.0.0"))
        store.publish("v3.0.0", {"a.tar.gz": b"no archive"})
        await until(task, tmp_path, lambda status: status["quarantine"])
        os.kill(os.getpid(), signal.SIGHUP)
        status = await until(task, tmp_path, alone(3))
        os.kill(status["generations"][0]["pid"], signal.SIGKILL)
        await until(task, tmp_path, serves(4))
        scrape = await scraped(admin)

    server = {"command": "server"}
    assert 2 == value(scrape, "dewy_deployments_total", **server)
    assert 2 == value(scrape, "dewy_deployment_duration_seconds_count", **server)
    assert 1 == value(scrape, "dewy_deployment_errors_total", **server)
    assert 1 == value(scrape, "dewy_server_restarts_total", reason="deploy")
    assert 1 == value(scrape, "dewy_server_restarts_total", reason="signal")
    assert 1 == value(scrape, "dewy_server_deaths_total", reason="signal")
    assert 0 == value(scrape, "dewy_server_deaths_total", reason="exit")
    assert 1 == value(scrape, "dewy_server_generations", state="serving")
    assert 2 == value(scrape, "dewy_drain_duration_seconds_count", **server)
    assert 1 == value(scrape, "dewy_quarantine_versions", until="time")
    assert 1 == value(scrape, "dewy_release_info", version="v2.0.0", **server)
    assert 1 == value(scrape, "dewy_release_up")
    assert 0 == value(scrape, "dewy_held")
    # While a release is fetched the registry is looked at, too.
    assert value(scrape, "dewy_polls_total") >= 3
    assert value(scrape, "dewy_poll_duration_seconds_count") >= 3
    # The registry answered each of them, also where the release was bad.
    assert 0 == value(scrape, "dewy_polls_failures_total")
    assert value(scrape, "dewy_healthchecks_total") >= 4
    assert value(scrape, "dewy_download_bytes_total") > 1000
    assert {"dewy_build_info", "target_info"} <= names(scrape)
    # The last word is said while there still is something to say.
    deaths = collector.metrics["dewy.server.deaths.total"].sum.data_points
    assert 1 == sum(each.as_int for each in deaths)


async def test_notifier_that_fails_is_shown(
    settings: Given, store: MemoryStore, tmp_path: Path, unused_tcp_port: int
) -> None:
    """In the status and in the metrics, until it works again; its secrets nowhere."""
    publish(store, "v1.0.0")
    async with Receiver(fault=500) as receiver:
        chosen = settings(
            admin_port=unused_tcp_port,
            telemetry=True,
            notifiers=(f"{receiver.url}/s3cret",),
        )
        async with running(chosen) as task:
            await until(task, tmp_path, runs("v1.0.0"))
            status = await until(task, tmp_path, lambda now: now["attention"])
            before = await scraped(unused_tcp_port)
            receiver.fault = ""
            await until(task, tmp_path, lambda now: not now["attention"])
            after = await scraped(unused_tcp_port)

    trouble = f"notifier {receiver.url} fails: 127.0.0.1 answered 500"
    assert status["attention"][0].startswith(trouble)
    assert status["healthy"]
    assert "s3cret" not in str(status)
    failing = [
        value(each, "dewy_notifiers_failing", kind="http") for each in (before, after)
    ]
    assert [1, 0] == failing
    http = {"kind": "http"}
    assert value(before, "dewy_notices_total", outcome="failed", **http) >= 1
    assert 0 == value(before, "dewy_notices_total", outcome="delivered", **http)
    assert value(after, "dewy_notices_total", outcome="delivered", **http) >= 1


async def test_a_deployment_is_a_trace(
    settings: Given,
    store: MemoryStore,
    tmp_path: Path,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One span for each step, with what comes after it serves; failures, too."""
    monkeypatch.setattr(push, "INTERVAL", 0.05)
    publish(store, "v1.0.0")
    told = settings(otlp_endpoint=collector.endpoint, otlp_insecure=True)
    async with running(told) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        await eventually(lambda: len(collector.spans) >= 7)
        spans = {span.name: span for span in collector.spans}
        collector.spans.clear()
        store.publish("v2.0.0", {"a.tar.gz": b"no archive"})
        await eventually(lambda: len(collector.spans) >= 4)

    steps = ["fetch", "before-hook", "unpack", "start"]
    after = ["after-hook", "report", "clean-up"]
    assert {*steps, *after, "dewy deploy"} == spans.keys()
    whole = spans.pop("dewy deploy")
    assert {whole.span_id} == {span.parent_span_id for span in spans.values()}
    begun = [spans[name].start_time_unix_nano for name in (*steps, *after)]
    assert sorted(begun) == begun
    failed = {span.name: span for span in collector.spans}
    assert "gzipped" in failed["unpack"].status.message
    assert "gzipped" in failed["dewy deploy"].status.message
    # It tells as much as it answers.
    assert "dewy.deployments.total" in collector.metrics
    assert {"dewy", __version__} <= {*collector.resource.values()}


def test_command_loads_no_unused_modules(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, os, signal\n"
        "from pathlib import Path\n"
        "from dewy import daemon\n"
        "from dewy.config import Settings\n"
        "root = Path(sys.argv[1])\n"
        "settings = Settings(command='assets', root=root, cache_dir=root / 'c',\n"
        "    registry='mem://x', once=True, admin_port=0)\n"
        "asyncio.run(daemon.run(settings))\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(done.stdout.split())

    assert "dewy.daemon.run" in loaded
    assert not {"opentelemetry", "prometheus_client", "grpc"} & loaded
    ours = {name for name in loaded if name.startswith("dewy.telemetry")}
    assert ours <= {"dewy.telemetry"}
    # Nor what only containers, remote registries and plugins take.
    others = {"aiohttp", "dewy.containers.replica_set", "importlib.metadata"}
    assert not others & loaded


async def test_no_secret_is_told(
    settings: Given,
    store: MemoryStore,
    tmp_path: Path,
    collector: Collector,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From none of the places where one may stand: neither scraped nor pushed."""
    monkeypatch.setattr(push, "INTERVAL", 0.05)
    for name in ("GITHUB_TOKEN", "SLACK_TOKEN", "AWS_SECRET_ACCESS_KEY", "APP_KEY"):
        monkeypatch.setenv(name, SECRET)
    publish(store, "v1.0.0")
    told = settings(
        before_deploy_hook=f"echo {SECRET}; test $DEWY_TAG = v1.0.0",
        telemetry=True,
        admin_port=unused_tcp_port,
        otlp_endpoint=collector.endpoint,
        otlp_insecure=True,
    )
    async with running(told) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        publish(store, "v2.0.0")
        await eventually(lambda: len(collector.spans) >= 8 + 3)
        scrape = await scraped(unused_tcp_port)

    everything = (
        f"{[*scrape]} {collector.metrics} {collector.spans} {collector.resource}"
    )
    assert "v2.0.0" in everything
    assert SECRET not in everything


SECRET = "hunter2-and-then-some"
