"""The example of how to add a scheme does what its page says."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.caches import CACHES
from dewy.notifiers import NOTIFIERS
from dewy.registries import REGISTRIES
from dewy.schemes import Schemes
from tests.standins import programs
from tests.standins.files import FileServer
from tests.standins.roots import say, state

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "plugins.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the docs are elsewhere")


def block(language: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where the example is installed, as an installer would have done it."""
    project = tomllib.loads(block("ini"))["project"]
    place = tmp_path / "site"
    name = project["name"].replace("-", "_")
    info = place / f"{name}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (place / f"{name}.py").write_text(block("python"))
    heading = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{heading}")
    groups = project["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
        for group, entries in groups.items()
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    return place


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with FileServer() as server:
        server.files["/shop/LATEST"] = b"v1.2.0\n"
        artifact = programs.tarball({"VERSION": "v1.2.0"})
        server.files["/shop/v1.2.0/app.tar.gz"] = artifact
        yield server


async def test_exception_of_a_plugin_is_told_as_its_own(
    site: Path, server: FileServer, tmp_path: Path
) -> None:
    """While it runs, and where it cannot even be made or loaded."""
    root = tmp_path / "root"
    root.mkdir()
    module = site / "dewy_latest.py"
    good = module.read_text()
    url = f"latest://{server.url.removeprefix('http://')}/shop?tls=false"
    path = f"{site}:{Path(__file__).parent.parent}"
    runs = ("assets", "--once", "--admin-port", "0", "--registry", url)
    odd = ".decode().strip()"
    broken = {
        "polls": good.replace(odd, f"{odd}.absent()"),
        "is made": good.replace("self.base =", "self.nothing.base ="),
        "loads": good.replace("class LatestRegistry", "absent()\nclass LatestRegistry"),
    }
    told = {}
    for name, text in broken.items():
        module.write_text(text)
        told[name] = (await say(root, *runs, PYTHONPATH=path)).err

    assert 1 == told["polls"].count("Poll ran into a fault of a plugin")
    assert "(a fault of the plugin for latest://)" in told["polls"]
    assert "(a fault of the plugin for latest://)" in told["is made"]
    assert "cannot be loaded: name 'absent' is not defined" in told["loads"]
    assert "fault of dewy" not in "".join(told.values())


async def test_installed_scheme_deploys(
    site: Path, server: FileServer, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    url = f"latest://{server.url.removeprefix('http://')}/shop?tls=false"
    path = f"{site}:{Path(__file__).parent.parent}"
    said = await say(
        root,
        *("assets", "--once", "--admin-port", "0", "--registry", url),
        PYTHONPATH=path,
    )

    assert 0 == said.status, said.err
    running = (await state(root)).running
    assert running is not None
    assert "v1.2.0" == running.tag


async def test_unknown_scheme_error_names_plugin_scheme(
    site: Path, tmp_path: Path
) -> None:
    path = f"{site}:{Path(__file__).parent.parent}"
    said = await say(tmp_path, "check", "--registry", "lates://x/y", PYTHONPATH=path)

    assert 2 == said.status
    assert "latest" in said.err


@pytest.mark.parametrize(
    ("group", "table", "scheme"),
    [
        ("dewy.registry", REGISTRIES, "mem"),
        ("dewy.artifact", ARTIFACTS, "file"),
        ("dewy.cache", CACHES, "file"),
        ("dewy.notifier", NOTIFIERS, "https"),
    ],
)
def test_documented_plugin_arguments_match_each_group(
    group: str, table: Schemes[..., object], scheme: str
) -> None:
    """One thing between two commas for each parameter of our own."""
    text = PAGE.read_text(encoding="utf-8")
    row = re.search(rf"^\| `{re.escape(group)}` \|(.+)\|$", text, re.MULTILINE)
    assert row is not None
    told = row[1].split("|")[1].split(", ")

    taken = inspect.signature(table.factory(scheme)).parameters
    assert f"dewy.{table.kind}" == group
    assert len(taken) == len(told)


def test_example_is_short() -> None:
    """Thirty lines and what an editor shows beside them."""
    assert block("python").count("\n") <= 34
