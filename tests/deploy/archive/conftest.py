"""A host with a release directory, and something beside it worth protecting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dewy.deploy.archive import ArchiveLimits, UnpackRules, unpack
from tests.standins.archives import listing, saved

Unpacked = Callable[..., dict[str, object]]


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Path]:
    """An empty release directory; what surrounds it is the same afterwards."""
    surroundings = tmp_path / "host"
    directory = surroundings / "releases" / "one"
    directory.mkdir(parents=True)
    (surroundings / "secret").write_text("kept")

    yield directory

    beside = {k: v for k, v in listing(surroundings).items() if "one/" not in k}
    assert {"releases": None, "releases/one": None, "secret": b"kept"} == beside


@pytest.fixture
def unpacked(tmp_path: Path, release: Path) -> Unpacked:
    """Unpack bytes under a name; what the release directory then holds."""

    def unpacked(
        data: bytes,
        name: str = "app.tar",
        limits: ArchiveLimits | None = None,
        **rules: Any,
    ) -> dict[str, object]:
        chosen = UnpackRules(limits or ArchiveLimits(), **rules)
        unpack(saved(tmp_path, "artifact", data), name, release, chosen)
        return listing(release)

    return unpacked
