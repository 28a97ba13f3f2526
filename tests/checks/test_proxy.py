"""What `dewy proxy` alone needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dewy.checks.endpoints import proxy_findings
from dewy.checks.finding import Finding, Level
from dewy.config import Endpoint, Settings
from dewy.config.endpoint import HostName


async def found(settings: Settings) -> list[Finding]:
    return [each async for each in proxy_findings(settings)]


def proxy(root: Path) -> Settings:
    return Settings(
        command="proxy",
        root=root,
        cache_dir=root,
        listen=(Endpoint("127.0.0.1", 8080),),
        backends=(Endpoint("127.0.0.1", 8001),),
    )


async def test_proxy_with_listener_and_backend_is_well(tmp_path: Path) -> None:
    """Whether the backend answers is told by `status`."""
    assert [] == await found(proxy(tmp_path))


async def test_proxy_without_listen_option_needs_attention(tmp_path: Path) -> None:
    (finding,) = await found(replace(proxy(tmp_path), listen=()))

    assert Level.ATTENTION is finding.level
    assert "needs a --listen" in finding.text


async def test_backends_that_cannot_be_looked_up_are_a_failure(tmp_path: Path) -> None:
    names = (HostName("nowhere.invalid", 80),)
    (finding,) = await found(replace(proxy(tmp_path), backends=names))

    assert Level.FAILURE is finding.level
    assert "no backend can be looked up: nowhere.invalid:80" == finding.text


async def test_backend_that_cannot_be_looked_up_beside_others_is_told(
    tmp_path: Path,
) -> None:
    lost = HostName("nowhere.invalid", 80)
    (finding,) = await found(
        replace(proxy(tmp_path), backends=(Endpoint("127.0.0.1", 8001), lost))
    )

    assert Level.ATTENTION is finding.level
    assert "backend nowhere.invalid:80 cannot be looked up" in finding.text
