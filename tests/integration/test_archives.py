"""Archives as publishers make them, each version served by a whole dewy."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.standins import archives, programs, roots
from tests.standins.publishing import put
from tests.standins.site import Dewy

VERSION = "v1.0.0"
# Executed by its path, as a program is.
EXECUTABLE = f"#!{sys.executable} -S\n{programs.PROGRAM.read_text()}"
CONTENT = {
    name: text.encode() for name, text in programs.files(VERSION, EXECUTABLE).items()
}


def windows_zip() -> bytes:
    """Without permissions, and with backslashes."""
    entries = ((rf"app_1.0.0\{name}", data, 0) for name, data in CONTENT.items())
    return archives.zipped(*entries)


def venv() -> bytes:
    """With a link to this host's Python, and one to where logs are kept."""
    entries = (
        archives.entry(f"app_1.0.0/{name}", data, mode=0o755)
        for name, data in CONTENT.items()
    )
    links = (
        archives.link("app_1.0.0/bin/python3", "/usr/bin/python3"),
        archives.link("app_1.0.0/log", "/var/log"),
    )
    return gzip.compress(archives.tar(*entries, *links))


@pytest.mark.parametrize(
    ("name", "made"), [("app.zip", windows_zip), ("app.tar.gz", venv)]
)
async def test_archive_of_usual_form_is_served(
    tmp_path: Path, unused_tcp_port: int, name: str, made: Callable[[], bytes]
) -> None:
    dewy = Dewy(
        tmp_path,
        unused_tcp_port,
        program=["current/program.py"],
        registry_url=f"file://{tmp_path}/registry?strip=1",
    )
    dewy.registry.mkdir()
    put(dewy.registry, VERSION, {name: made()})
    async with dewy:
        await dewy.runs(VERSION)

    assert ("Made program executable" in dewy.log) is (name == "app.zip")


async def test_links_outside_are_refused_where_files_are_kept(tmp_path: Path) -> None:
    dewy = Dewy(tmp_path, command="assets")
    dewy.registry.mkdir()
    put(dewy.registry, VERSION, {"app.tar.gz": venv()})
    async with dewy:
        reason = await dewy.refuses(VERSION)

    assert "--absolute-links allow accepts such links" in reason
    assert {} == roots.releases(dewy.root)
