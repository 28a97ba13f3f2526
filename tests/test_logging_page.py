"""docs/reference/logging.md promises what is emitted."""

from __future__ import annotations

import ast
import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dewy
from dewy import daemon
from dewy._speedups import COMPILED
from dewy.config import Endpoint, Settings
from dewy.proxy import Proxy
from dewy.remotes.memory import MemoryStore
from tests.standins import programs

PACKAGE = Path(dewy.__file__).parent
PAGE = PACKAGE.parent / "docs" / "reference" / "logging.md"
ROW = re.compile(r"^\| `([^`]+)` (?:\*o\* )?\| ([A-Z]+)[^|]*\| ([^|]*)\|", re.MULTILINE)


def promised() -> dict[str, set[str]]:
    """The keys of each message on the page."""
    text = PAGE.read_text(encoding="utf-8")
    return {
        message: set(re.findall(r"`([a-z_]+)`", keys))
        for message, _, keys in ROW.findall(text)
    }


def literals() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_promised_message_is_in_the_source() -> None:
    """A renamed one would break scripts."""
    found = set(literals())

    assert len(promised()) > 20
    assert set() == {message for message in promised() if message not in found}


def emitted(caplog: pytest.LogCaptureFixture) -> dict[str, set[str]]:
    return {record.getMessage(): set(vars(record)) for record in caplog.records}


def missing(found: dict[str, set[str]], *messages: str) -> dict[str, set[str]]:
    """The promised keys that *found* lacks, of each of *messages*."""
    keys = promised()
    return {m: lack for m in messages if (lack := keys[m] - found.get(m, set()))}


async def test_deployment_emits_documented_log_messages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the keys of each line."""
    store = MemoryStore.named(tmp_path.name)
    store.publish("v1.0.0", {"a.tar.gz": programs.tarball(programs.files("v1.0.0"))})
    settings = Settings(
        command="assets",
        root=tmp_path,
        cache_dir=tmp_path / ".dewy/cache",
        registry=f"mem://{store.name}",
        before_deploy_hook="true",
        after_deploy_hook="echo out; exit 3",
        once=True,
        admin_port=0,
    )
    caplog.set_level(logging.INFO, "dewy")
    async with asyncio.timeout(60):
        assert 0 == await daemon.run(settings)

    found = emitted(caplog)
    messages = (
        "Dewy started",
        "Dewy stopped",
        "Download notification",
        "Cached artifact",
        "Create symlink",
        "Execute hook",
        "Execute hook failed",
        "Deployment started",
        "Deployed",
    )
    assert {} == missing(found, *messages)
    assert set(messages) <= found.keys()


async def test_proxy_logs_documented_message_when_backend_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When a backend begins to serve, and not before."""
    caplog.set_level(logging.INFO, "dewy")
    line = "Backend added to TCP proxy"
    async with Proxy(threads=1 if COMPILED else 0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1"))
        backend = port.add(Endpoint("127.0.0.1", 9), serving=False)
        assert line not in emitted(caplog)
        port.serve([backend])
        port.serve([backend])

    assert {} == missing(emitted(caplog), line)
    assert 1 == sum(r.getMessage() == line for r in caplog.records)
    record = next(r for r in caplog.records if r.getMessage() == line)
    assert port.endpoint.port == vars(record)["proxy_port"]
