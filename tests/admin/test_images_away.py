"""Versions without an image here; rollbacks with one are in tests/daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dewy.admin.images_away import images_away
from dewy.config import Settings
from dewy.errors import EngineError
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost


@pytest.mark.parametrize("silent", [False, True], ids=["empty host", "silent engine"])
async def test_engine_that_is_silent_has_no_image_told_away(
    worked: Settings, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    @asynccontextmanager
    async def opened(*given: object) -> AsyncIterator[MemoryEngine]:
        if silent:
            raise EngineError("no engine answers")
        yield MemoryEngine(MemoryHost("empty"))

    monkeypatch.setattr("dewy.admin.images_away.open_engine", opened)
    images = replace(worked, registry="img://registry.test/acme/shop")

    assert [] == await images_away(worked)
    expected = [] if silent else ["v1"]
    assert expected == [each.name for each in await images_away(images)]
