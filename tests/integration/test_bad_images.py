"""Images that cannot work: what runs serves on, and the reason is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.eventually import eventually
from tests.needs import needs
from tests.standins import roots
from tests.standins.container_load import ContainerLoad
from tests.standins.container_site import ContainerDewy
from tests.standins.witness import Witness

GOOD, BAD, NEXT = "v1.0.0", "v1.0.1", "v1.0.2"


@dataclass(frozen=True)
class Bad:
    """
    A bad image.

    Attributes:
        reason: What the operator reads, a pattern.

        env: Makes it behave so.

        tail: A part of its last lines.

        options: Of the dewy that meets it.

        settings: Those that are only for meeting it: good ones have more time.
    """

    reason: str
    env: Mapping[str, str]
    tail: str
    options: Sequence[str] = ()
    settings: str = 'health-timeout = "1s"\n'


IMAGES = {
    "exits": Bad(
        r"exit status 7|connection refused",
        {"EXIT_AFTER_MS": "1", "EXIT_CODE": "7", "START_DELAY_MS": "60000"},
        "exiting with 7",
    ),
    "never listens": Bad(
        r"not healthy in 1 s: [\d.]+:8080: connection refused",
        {"NEVER_LISTEN": "1"},
        "",
    ),
    "answers 500": Bad(
        r"not healthy in 1 s: [\d.]+:8080/health answered 500",
        {"UNHEALTHY": "500"},
        "listening on 8080",
    ),
    "dies within the time to stay healthy": Bad(
        r"ended with exit status 7 before it was ready",
        {"EXIT_AFTER_MS": "1000", "EXIT_CODE": "7"},
        "exiting with 7",
        ("--min-healthy", "2s"),
        "",
    ),
}


@pytest.mark.parametrize("name", IMAGES)
async def test_a_bad_image_costs_nothing_but_itself(
    site: ContainerDewy, name: str
) -> None:
    """Not one connection reaches it, and what serves is not touched."""
    await meets(IMAGES[name], site)


async def test_a_bad_image_costs_nothing_in_any_engine(
    container_dewy: ContainerDewy,
) -> None:
    """The same, for Podman's ways of telling."""
    await meets(IMAGES["exits"], container_dewy)


async def meets(bad: Bad, dewy: ContainerDewy) -> None:
    """Let *dewy* run a good image, meet *bad*, and go on to a good one."""
    dewy.options = ("--max-parallel", "2", *bad.options)
    await dewy.push(GOOD)
    async with dewy:
        await dewy.serves(GOOD)
        before = await dewy.alone(GOOD)
        async with ContainerLoad(dewy.port, rate=50, kept=2) as load:
            await set_anew(dewy, bad.settings)
            pushed = await dewy.push(BAD, env=bad.env)
            reason = await dewy.refuses(BAD)
            assert before == await dewy.alone(GOOD)
            status = await dewy.serves(GOOD)
            await load.goes_on(50)
            await set_anew(dewy, "")
            await dewy.push(NEXT)
            await dewy.serves(NEXT)
            await load.goes_on(50)
            await dewy.alone(NEXT)
        await roots.recorded(dewy.root, GOOD, BAD, NEXT)

    assert {} == load.report.failures, load.report.examples
    assert {GOOD, NEXT} == set(load.report.versions)
    assert re.search(bad.reason, reason), reason
    assert [(BAD, pushed.digest)] == [
        (entry["tag"], entry["identity"]) for entry in status["quarantine"]
    ]
    assert status["quarantine"][0]["until"] is not None
    assert any(reason in phrase for phrase in status["degraded"])
    first, second, third = await roots.history(dewy.root)
    assert ("failed", "start", reason) == (second.outcome, second.step, second.reason)
    assert bad.tail in "\n".join(second.log_tail)
    assert ["deployed"] * 2 == [first.outcome, third.outcome]
    assert reason in dewy.log.replace('\\"', '"')


async def set_anew(dewy: ContainerDewy, content: str) -> None:
    """Have it go by a dewy.toml with that *content*."""
    (dewy.root / "dewy.toml").write_text(content)
    await dewy.ask("reload")


@needs("raw-sockets")
async def test_version_dying_in_probation_is_rolled_back(site: ContainerDewy) -> None:
    """
    It loses the connections that it held, and no other.

    Every connection that broke is traced: it had carried its request to the dead one.
    """
    site.options = ("--max-parallel", "2", "--probation", "10m")
    await site.push(GOOD)
    async with site:
        await site.serves(GOOD)
        await site.push(BAD, env={"EXIT_CODE": "7"})
        await site.serves(BAD)
        await site.alone(BAD)
        mortal, *_ = (await site.ask("containers"))["containers"]
        assert "direct" == mortal["way"]
        async with (
            Witness(mortal["upstream"].rsplit(":", 1)[0]) as witness,
            ContainerLoad(site.port, rate=50, kept=4) as load,
        ):
            await said(mortal["upstream"], "GET /exit", b"")
            reason = await site.refuses(BAD)
            status = await site.serves(GOOD)
            await site.alone(GOOD)
            await load.goes_on(50)
        await roots.recorded(site.root, GOOD, BAD, BAD)

    assert {GOOD, BAD} == set(load.report.versions)
    assert load.report.failures.keys() <= {"reset", "short"}, load.report.examples
    broken = load.report.broken
    assert len(broken) == load.report.failures.total() + load.report.retried
    assert set(broken) <= witness.seen, load.report.examples
    assert "exit status 7" in reason
    assert status["quarantine"][0]["until"] is None
    _, _, back = await roots.history(site.root)
    assert ("probation", "rolled back") == (back.step, back.outcome)
    assert "exiting with 7" in back.log_tail
    # Not one more of them was started.
    assert 2 + 2 == site.log.count('msg="Started container"') - 2


async def test_unhealthy_replica_receives_no_connections_until_healthy(
    site: ContainerDewy,
) -> None:
    """It leaves the table, is not replaced, and comes back by itself."""
    await site.push(GOOD)
    async with site:
        await site.serves(GOOD)
        before = await site.alone(GOOD)
        sick, *_ = (await site.ask("containers"))["containers"]
        await said(sick["upstream"], "POST /health/503", b" 200 ")
        await site.until(lambda status: "unhealthy" in health(status).values())
        answers = {(await site.fetch()).split()[2] for _ in range(20)}
        assert sick["id"][:12] not in answers
        await said(sick["upstream"], "POST /health/200", b" 200 ")
        await site.until(lambda status: {"healthy"} == set(health(status).values()))

        async def answers_again() -> bool:
            return (await site.fetch()).split()[2] == sick["id"][:12]

        await eventually(answers_again)
        assert before == await site.alone(GOOD)


def health(status: Mapping[str, object]) -> dict[str, str]:
    return {each["id"]: each["health"] for each in status["replicas"]}


async def said(upstream: str, what: str, answer: bytes) -> None:
    """Say *what* to a container, past the proxy; it answers *answer*, at least."""
    host, port = upstream.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    request = f"{what} HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    writer.write(request.encode())
    assert answer in await reader.read()
    writer.close()
