"""A host that is memory, for dewys that keep containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dewy.daemon import container
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryHost:
    host = MemoryHost(str(tmp_path))

    @asynccontextmanager
    async def opened(*given: object) -> AsyncIterator[MemoryEngine]:
        yield MemoryEngine(host)

    monkeypatch.setattr(container, "open_engine", opened)
    monkeypatch.setattr("dewy.system.raise_descriptor_limit", lambda: None)
    return host
