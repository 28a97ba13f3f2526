"""A real Prometheus, which scrapes a dewy and evaluates its rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from dewy.config import Endpoint, Settings
from dewy.daemon.proxy import Measured
from dewy.proxy import Port, Proxy
from dewy.proxy.frontend import Frontend
from tests.eventually import eventually
from tests.needs import needs
from tests.telemetry.test_contrib import CONTRIB, RULES

pytestmark = [
    needs("telemetry", "prometheus"),
    pytest.mark.skipif(not CONTRIB.is_dir(), reason="contrib is elsewhere"),
]

CONFIGURATION = """\
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: dewy
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """What it answers at *port*."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> Any:
        """The data of an answer; None while there is none."""

        def fetch() -> Any:
            with suppress(OSError), urlopen(self._base + path, timeout=30) as answer:
                return json.load(answer)["data"]

        return await asyncio.to_thread(fetch)

    async def value(self, query: str) -> float | None:
        """Of the one series that *query* finds; None if there is none."""
        found = await self.get(f"/api/v1/query?{urlencode({'query': query})}")
        results = found["result"] if found else []
        return float(results[0]["value"][1]) if results else None

    async def rules(self) -> dict[str, dict[str, Any]]:
        """All of its rules, by the names of their alerts."""
        found = await self.get("/api/v1/rules")
        groups = found["groups"] if found else []
        return {rule["name"]: rule for group in groups for rule in group["rules"]}


@asynccontextmanager
async def prometheus(
    scraped: int, port: int, directory: Path
) -> AsyncIterator[Prometheus]:
    """A server on *port* that scrapes the dewy on port *scraped*."""
    file = directory / "prometheus.yml"
    file.write_text(CONFIGURATION.format(rules=RULES, port=scraped))
    with (directory / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            await process.wait()


async def knock(port: Port) -> None:
    """Be a client that nobody serves."""
    with suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port.endpoint.port)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()


async def test_prometheus_scrapes_metrics_and_evaluates_rules(
    tmp_path: Path, unused_tcp_port_factory
) -> None:
    """What is counted arrives, and what is wrong is noticed."""
    admin, port = unused_tcp_port_factory(), unused_tcp_port_factory()
    settings = Settings(
        command="proxy",
        root=tmp_path,
        cache_dir=tmp_path,
        telemetry=True,
        admin_port=admin,
    )
    around = await asyncio.to_thread(Measured, settings)
    async with (
        Proxy(threads=1) as proxy,
        around(Frontend(proxy, settings)),
        prometheus(admin, port, tmp_path) as server,
    ):
        unserved = await proxy.open(Endpoint("127.0.0.1"))
        refused = 'dewy_proxy_faults_total{cause="no_backend"}'

        async def seen(count: float) -> bool:
            return await server.value(refused) == count

        await eventually(lambda: seen(0))
        for _ in range(3):
            await knock(unserved)
        await eventually(lambda: seen(3))
        up = await server.value('up{job="dewy"}')
        names = await server.value('count by (otel_scope_name) ({__name__=~"dewy_.+"})')

        async def pending() -> bool:
            rules = await server.rules()
            return bool(rules) and rules["DewyNoBackend"]["state"] == "pending"

        await eventually(pending)
        rules = await server.rules()

    assert 1 == up
    assert names is not None
    assert names > 40
    assert {"ok"} == {rule["health"] for rule in rules.values()}
    others = {name for name, rule in rules.items() if rule["state"] != "inactive"}
    assert others <= {"DewyNoBackend", "DewyProxyErrors"}
    (alert,) = rules["DewyNoBackend"]["alerts"]
    assert (
        f"port {unserved.endpoint.port} on 127.0.0.1:{admin} are turned away"
        in (alert["annotations"]["summary"])
    )
