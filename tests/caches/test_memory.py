"""What is particular about the cache in memory; the rest is its contract."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from dewy.caches import CACHES
from dewy.errors import ConfigError


async def test_caches_of_same_name_share_values(tmp_path: Path) -> None:
    url = f"mem://{uuid.uuid4().hex}"
    await CACHES.open(url, tmp_path).put("key", b"value")

    assert b"value" == await CACHES.open(url, tmp_path).get("key")


async def test_caches_of_other_names_do_not(tmp_path: Path) -> None:
    await CACHES.open(f"mem://{uuid.uuid4().hex}", tmp_path).put("key", b"value")

    assert await CACHES.open(f"mem://{uuid.uuid4().hex}", tmp_path).get("key") is None


def test_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max-size"):
        CACHES.open("mem://name?maxsize=1k", tmp_path)


def test_repr_of_cache_shows_name_and_number_of_values(tmp_path: Path) -> None:
    name = uuid.uuid4().hex

    assert f"<MemoryCache {name}: 0 held>" == repr(
        CACHES.open(f"mem://{name}", tmp_path)
    )
