"""Telemetry of container mode: each metric of the original in one scrape."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.config import Settings
from dewy.deploy.progress import ProgressReporter
from dewy.telemetry import load
from tests.eventually import eventually
from tests.needs import found, needs
from tests.standins.container_lives import alive
from tests.standins.memory_host import MemoryHost

if found("telemetry"):
    from dewy.daemon.measuring import measure
    from tests.standins.scrapes import Scrape, parsed, value
    from tests.telemetry.test_exposition import ORIGINAL

pytestmark = needs("telemetry")

# Of server mode, and of containers that have ended but are not yet removed.
ELSEWHERE = {
    "dewy_server_restarts_total",
    "dewy_container_last_terminated_exit_code",
    "dewy_container_oom_killed",
}


async def test_replicas_are_measured(
    tmp_path: Path,
    host: MemoryHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With exactly the labels that the original gave them."""
    monkeypatch.setattr("dewy.daemon.measuring.PAUSE", 0.0)
    settings = Settings(
        command="container", root=tmp_path, cache_dir=tmp_path, telemetry=True
    )
    telemetry = await asyncio.to_thread(load, settings)
    assert telemetry is not None
    async with alive(tmp_path, host, before_deploy_hook="true") as life, telemetry:
        measure(telemetry, life.handlers, ProgressReporter())
        await life.see("v1")
        (port,) = life.replica_set.table.ports
        for _ in range(3):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port.endpoint.port
            )
            writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"v1")
            writer.close()
        await eventually(lambda: 3 == sum(port.stats().duration))
        await life.see("v2")
        drains = life.replica_set.drainer.drains
        await eventually(lambda: 2 == sum(drains.counts))
        scrape = parsed(await telemetry.text())

    told: dict[str, set[str]] = {}
    for series in scrape:
        told.setdefault(series.name, set()).update(label for label, _ in series.labels)
    expected = {n: {*labels} for n, labels in ORIGINAL.items() if n not in ELSEWHERE}
    assert expected == {name: told[name] for name in expected}
    proxied = {"proxy_port": str(port.endpoint.port)}
    container = {"command": "container"}
    assert 3 == value(scrape, "dewy_proxy_connections_total", **proxied)
    assert 3 == value(scrape, "dewy_proxy_connect_latency_seconds_count", **proxied)
    assert 3 == value(scrape, "dewy_proxy_connection_duration_seconds_count", **proxied)
    assert value(scrape, "dewy_proxy_bytes_transferred_total", **proxied) > 100
    assert 2 == value(scrape, "dewy_proxy_backends", **proxied)
    assert 2 == value(scrape, "dewy_deployments_total", **container)
    assert 2 == value(scrape, "dewy_drain_duration_seconds_count", **container)
    assert value(scrape, "dewy_healthchecks_total") >= 4
    assert 2 == count(scrape, "dewy_container_info", version="v2")
    assert 2 == count(scrape, "dewy_container_healthy")
    app = next(dict(s.labels)["app"] for s in scrape if s.name == "dewy_container_info")
    assert 2 == value(scrape, "dewy_container_replicas", app=app)
    assert 2 == value(scrape, "dewy_container_desired_replicas", app=app)
    assert 2 == count(scrape, "dewy_container_status", state="running")


def count(scrape: Scrape, name: str, **labels: str) -> float:
    """The sum over all series called *name* that have *labels* among theirs."""
    return sum(
        found
        for series, found in scrape.items()
        if series.name == name and labels.items() <= dict(series.labels).items()
    )
