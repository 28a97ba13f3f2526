"""The demo's releases."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path

from dewy.demo.scenario import BROKEN, PROGRAM, publish
from dewy.registries import REGISTRIES
from dewy.remotes import Clients
from dewy.versions import Selection


async def test_a_version_is_a_release_at_once(tmp_path: Path):
    await asyncio.to_thread(publish, tmp_path, "v1.0.0")

    async with Clients() as clients:
        registry = REGISTRIES.open(f"file://{tmp_path}", Selection(), clients)
        assert "v1.0.0" == (await registry.current()).tag


def test_published_version_contains_working_or_broken_program(tmp_path: Path):
    publish(tmp_path, "v1.0.0")
    publish(tmp_path, "v2.0.0", broken=True)

    assert {"program.py": PROGRAM.read_text(), "VERSION": "v1.0.0"} == held(
        tmp_path / "v1.0.0"
    )
    assert BROKEN == held(tmp_path / "v2.0.0")["program.py"]


def held(release: Path) -> dict[str, str]:
    with tarfile.open(release / "demo.tar.gz") as archive:
        return {
            member.name: archive.extractfile(member).read().decode()
            for member in archive
        }
