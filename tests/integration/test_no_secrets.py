"""No secret is in anything dewy emits, wherever one can stand."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dewy.logs import SECRETS
from tests.eventually import eventually
from tests.needs import needs
from tests.standins import programs
from tests.standins.container_site import ContainerDewy
from tests.standins.grpc_registry import GRPCServer
from tests.standins.receiving import SLACK_TOKEN, Receiver
from tests.standins.roots import say
from tests.standins.site import Dewy

MARK = "s3cr3t"
"""Part of every secret here, and of nothing else."""

CLOSED = "127.0.0.1:1"
"""Where nobody listens."""

# Slack's stand-in knows its token, which tells by its form what it is.
ENVIRONMENT = {name: f"{MARK}-{name.lower()}-of-env" for name in SECRETS}
ENVIRONMENT["SLACK_TOKEN"] = SLACK_TOKEN

LAST_WORDS = """
import os, sys
for name in ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "SLACK_TOKEN"):
    print("I had", os.environ[name], flush=True)
print(f"https://me:s3cr3t-pw@db.test/x?api_key=s3cr3t-key {os.environ['GH_TOKEN']}")
raise SystemExit(3)
"""

# Tells what it knows, and what all processes were started with.
HOOK = (
    "cat /proc/[0-9]*/cmdline > cmdlines 2>/dev/null;"
    " echo told $GITHUB_TOKEN; echo $MAIL_PASSWORD >&2"
)


def revealed(emitted: dict[str, str]) -> dict[str, list[str]]:
    """The lines that hold a secret, by where they stand."""
    secrets = (MARK, SLACK_TOKEN)
    return {
        place: found
        for place, text in emitted.items()
        if (
            found := [
                line for line in text.splitlines() if any(map(line.count, secrets))
            ]
        )
    }


def files(private: Path) -> dict[str, str]:
    """All that dewy keeps beside releases and artifacts."""
    skipped = {"cache", "admin.sock"}
    return {
        str(path): path.read_text(errors="replace")
        for path in private.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(private).parts)
    }


def own_lines(log: str) -> str:
    """Of the log what is dewy's; its program writes there as it likes."""
    lines = log.splitlines()
    return "\n".join(line for line in lines if line.startswith(("time=", '{"time"')))


async def answers(port: int) -> dict[str, str]:
    """What the HTTP API tells every user of the host."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for path in ("/api/status", "/api/containers"):
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                found[path] = await response.text()
    return found


async def commands(dewy: Dewy, port: int, *asked: str) -> dict[str, str]:
    """What operators are told."""
    found = {}
    for command in asked:
        said = await say(dewy.root, *command.split(), **dewy.variables)
        found[command] = said.out + said.err
    return found


@asynccontextmanager
async def artifacts(served: dict[str, bytes]) -> AsyncIterator[Callable[[str], str]]:
    """A server that wants a password; the URL of each of *served*."""

    async def send(request: web.Request) -> web.Response:
        auth = aiohttp.BasicAuth.decode(request.headers["Authorization"])
        assert "s3cr3t-artifact" == auth.password
        body = served.get(request.path.strip("/"))
        return web.Response(body=body, status=404 if body is None else 200)

    app = web.Application()
    app.router.add_get("/{name}", send)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        yield (
            lambda name: (
                f"http://me:s3cr3t-artifact@127.0.0.1:{port}/{name}?token=s3cr3t-query"
            )
        )
    finally:
        await runner.cleanup()


def notifiers(receiver: Receiver) -> str:
    hook = receiver.url.replace("://", "://me:s3cr3t-hook@")
    mail = f"mail://{CLOSED}/ops@shop.test?username=me&from=dewy@shop.test&password=s3cr3t-mail&tls=false"
    return json.dumps(
        [f"{hook}/in?token=s3cr3t-in&secret=s3cr3t-sign", "slack://x", mail]
    )


@needs("grpc", "slack", "mail")
@pytest.mark.parametrize("format", ["text", "json"])
async def test_programs(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int], format: str
) -> None:
    """A release that runs, and one that tells what it knows and dies."""
    port, admin = unused_tcp_port_factory(), unused_tcp_port_factory()
    served = {
        "v1.0.0.tar.gz": programs.tarball(programs.files("v1.0.0")),
        "v1.1.0.tar.gz": programs.tarball(programs.files("v1.1.0", LAST_WORDS)),
    }
    async with artifacts(served) as url, GRPCServer() as registry, Receiver() as told:
        dewy = Dewy(
            tmp_path,
            port,
            registry_url=f"grpc://{registry.address}?no-tls=true",
            options=(
                *("--admin-port", str(admin), "--log-level", "debug"),
                *("--log-format", format, "--after-deploy-hook", f"{HOOK}; exit 3"),
            ),
            variables={**ENVIRONMENT, "SLACK_API_URL": f"{told.url}/api/"},
        )
        dewy.root.mkdir()
        (dewy.root / "dewy.toml").write_text(
            f'cache = "redis://me:s3cr3t-cache@{CLOSED}/0"\n'
            f"before-deploy-hook = {json.dumps(HOOK)}\n"
            f"notifier = {notifiers(told)}\n"
        )
        registry.service.publish("v1.0.0", url("v1.0.0.tar.gz"))
        async with dewy:
            await dewy.runs("v1.0.0")
            registry.service.publish("v1.1.0", url("v1.1.0.tar.gz"))
            await dewy.refuses("v1.1.0")
            await eventually(lambda: b"v1.1.0 failed" in whole(told))
            await eventually(lambda: b"told ***" in whole(told))
            emitted = await answers(admin)
            asked = ("status", "status --json", "history --json", "why v1.1.0")
            emitted |= await commands(
                dewy, admin, *asked, "rollback v9", "check --json"
            )
            # It would wait a while for the mail that nobody takes.
            await dewy.kill()
    emitted |= await asyncio.to_thread(files, dewy.root / ".dewy")
    emitted["log"] = own_lines(dewy.log)
    emitted["notices"] = whole(told).decode()
    emitted["cmdlines"] = (dewy.root / "cmdlines").read_text(errors="replace")

    assert {} == revealed(emitted)
    # It was all there to be told.
    assert "s3cr3t-pw" in dewy.log
    assert "I had ***" in emitted["history --json"]
    assert "I had ***" in failure(told)["fields"]["log"]
    assert "ended (exit status 3)" in emitted["/api/status"]


def whole(told: Receiver) -> bytes:
    """Everything that arrived, the ways it is signed and authorised apart."""
    return b"\n".join(each.body for each in told.received)


def failure(told: Receiver) -> dict[str, Any]:
    """The notice of what failed: the version, where, why, and what dewy did."""
    (found,) = [each for each in told.messages if each.get("kind") == "error"]
    assert re.match(
        r"v1\.1\.0 failed at start: .+; v1\.0\.0 keeps running$", found["text"]
    )
    return found


async def test_containers(
    site: ContainerDewy, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """Their environment is nobody's business, and neither is what they pull with."""
    admin = unused_tcp_port_factory()
    site.replicas = 1
    site.root.mkdir()
    (site.root / "secrets.env").write_text("FROM_FILE=s3cr3t-of-file\n")
    site.run_options = ("-e", "FROM_ENV", "--env-file", "secrets.env")
    site.variables |= ENVIRONMENT | {
        "FROM_ENV": "s3cr3t-of-env",
        "DOCKER_USERNAME": "me",
        "DEWY_BEFORE_DEPLOY_HOOK": HOOK,
    }
    async with Receiver() as told:
        hook = told.url.replace("://", "://me:s3cr3t-hook@")
        site.variables["DEWY_NOTIFIER"] = f"{hook}/?secret=s3cr3t-sign"
        site.options = ("--admin-port", str(admin), "--log-level", "debug")
        await site.push("v1.0.0")
        async with site:
            await site.serves("v1.0.0")
            assert "s3cr3t-of-file" == await site.fetch("/env/FROM_FILE")
            assert "s3cr3t-of-env" == await site.fetch("/env/FROM_ENV")
            await site.push("v1.1.0", env={"EXIT_AFTER_MS": "0", "EXIT_CODE": "7"})
            await site.refuses("v1.1.0")
            await eventually(lambda: b"v1.1.0 failed" in whole(told))
            emitted = await answers(admin)
            asked = ("status --json", "history --json", "why v1.1.0", "container list")
            emitted |= await commands(site, admin, *asked)
    emitted |= await asyncio.to_thread(files, site.root / ".dewy")
    emitted["log"] = site.log
    emitted["notices"] = whole(told).decode()
    assert "exiting with 7" in failure(told)["fields"]["log"]
    emitted["cmdlines"] = (site.root / "cmdlines").read_text(errors="replace")

    assert {} == revealed(emitted)
