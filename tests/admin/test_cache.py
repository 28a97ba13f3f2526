"""What `dewy check` finds out about the cache."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dewy.admin import preview as module
from dewy.admin.preview import cache_trouble
from dewy.config import Settings
from dewy.errors import ConfigError, UnknownScheme
from tests.standins.consul import Consul, serving


async def test_cache_that_answers_is_no_trouble(settings: Settings) -> None:
    """Neither the root's own nor a shared one; and nothing is written."""
    consul = Consul()
    async with serving(consul) as port:
        shared = replace(settings, cache=f"consul://127.0.0.1:{port}/app")

        assert "" == await cache_trouble(settings) == await cache_trouble(shared)
    assert {} == consul.rows
    assert not await asyncio.to_thread(settings.cache_dir.exists)


async def test_cache_that_does_not_answer_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await cache_trouble(replace(settings, cache="consul://127.0.0.1:1/app"))
    assert "consul://127.0.0.1:1 could not be reached" in told

    consul = Consul()
    consul.hanging = True
    monkeypatch.setattr(module, "CACHE_PATIENCE", 0.1)
    async with serving(consul) as port:
        told = await cache_trouble(
            replace(settings, cache=f"consul://127.0.0.1:{port}/app")
        )
    assert "did not answer in 0.1 s" in told


async def test_url_that_cannot_be_is_refused(settings: Settings) -> None:
    with pytest.raises(UnknownScheme, match="nowhere://"):
        await cache_trouble(replace(settings, cache="nowhere://x"))
    with pytest.raises(ConfigError, match="registry-ttl"):
        await cache_trouble(replace(settings, cache="mem://x?registry-ttl=-1s"))
