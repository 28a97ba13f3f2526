"""The documentation tells what there is, and what it shows can be typed."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import dewy as package
from dewy.cli.group import COMMANDS, dewy
from dewy.config import resolve
from dewy.config.settings import OPTIONS, ROWS
from dewy.logs import SECRETS
from tests.needs import needs
from tests.standins.terminal import Terminal, blocks, neutral, steps

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MORE = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "contrib/systemd/README.md",
    "contrib/chef/README.md",
)
PAGES = [*sorted(DOCS.rglob("*.md")), *filter(Path.is_file, map(ROOT.joinpath, MORE))]

CHANGELOG = ROOT / "CHANGELOG.md"
LONGEST_ENTRY = 300

# Wheels may be tested without the rest of the checkout.
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are elsewhere")

LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LOOKS = re.compile(r"curl|dewy (?:status|check|history)\b")
PATIENCE = 60.0


def shown(path: Path) -> str:
    """A short, stable test id."""
    return str(path.relative_to(ROOT))


def slugs(page: Path) -> set[str]:
    """The anchors that *page* has on GitHub."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def located(target: Path) -> Path:
    """Return *target*, in the installed package if the checkout's own is away."""
    target = target.resolve()
    if target.is_relative_to(ROOT / "dewy"):
        return Path(package.__file__).parent / target.relative_to(ROOT / "dewy")
    return target


def dewy_lines() -> list[tuple[str, str]]:
    """Every command line of dewy that a page shows, with the page."""
    return [
        (shown(page), " ".join(found.split()))
        for page in PAGES
        for step in steps(page)
        for found in re.findall(r"(?:^|[;(] ?|&& )(dewy [^;|)&#\n]*)", step.command)
    ]


def parse(arguments: list[str]) -> None:
    """Have click read *arguments*; nothing is run."""
    if arguments == ["--version"]:
        return
    with dewy.make_context("dewy", arguments) as group:
        rest = [*group._protected_args, *group.args]
        name, command, rest = dewy.resolve_command(group, rest)
        assert command is not None
        with command.make_context(name, rest, parent=group):
            pass


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_described(command: str) -> None:
    """With every option that it alone has."""
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    _, heading, section = text.partition(f"\n## `dewy {command}")
    section = section.partition("\n## ")[0]
    described = dewy.get_command(click.Context(dewy), command)

    assert described is not None
    shared = {*OPTIONS, "version", "root"}
    flags = [each.opts for each in described.params if isinstance(each, click.Option)]
    own = [opts[0] for opts in flags if opts[-1].lstrip("-") not in shared]

    assert heading
    assert [] == [flag for flag in own if f"`{flag}" not in section]


@pytest.mark.parametrize("name", ["options.md", "container-options.md", "metrics.md"])
def test_tables_of_options_are_up_to_date(name: str) -> None:
    """`dev/write-reference` brings them there."""
    page = (DOCS / "reference" / name).read_text(encoding="utf-8")
    script = runpy.run_path(str(ROOT / "dev" / "write-reference"))

    assert script["written"](page, script["PAGES"][name]) == page


def test_man_page_is_up_to_date() -> None:
    """With every command; `dev/write-reference` writes it."""
    page = (ROOT / "contrib/man/dewy.1").read_text(encoding="utf-8")
    script = runpy.run_path(str(ROOT / "dev" / "write-reference"))

    assert script["man"]() == page
    for name in COMMANDS:
        assert f'.SS "dewy {name}' in page


def test_picture_of_architecture_is_drawn_from_imports() -> None:
    """`dev/write-architecture` draws it anew."""
    script = runpy.run_path(str(ROOT / "dev" / "write-architecture"))

    assert script["picture"]() == script["PICTURE"].read_text(encoding="utf-8")


def test_options_are_those_there_are() -> None:
    """Each as often as it has a meaning of its own."""
    page = (DOCS / "reference" / "options.md").read_text(encoding="utf-8")

    assert Counter(row.name for row in ROWS) == Counter(
        re.findall(r"^\| `--([\w-]+)`", page, re.MULTILINE)
    )


def test_variables_that_hold_secrets_are_struck_out() -> None:
    """Every one that a page names; the others name files, or who somebody is."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    secret = r"`\$?([A-Z][A-Z0-9_]*_(?:TOKEN|PASSWORD|SECRET|KEY|HEADERS))`"

    named = set(re.findall(secret, text))
    assert len(named) > 10
    assert named <= set(SECRETS)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the checkout, and to a heading in it where they name one."""
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = located(page.parent / path if path else page)
        found = target.exists() and (not anchor or anchor in slugs(target))
        if "://" not in link and not found:
            broken.append(link)

    assert [] == broken


def test_index_lists_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(index)}

    assert set() == set(DOCS.rglob("*.md")) - listed - {DOCS / "README.md"}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_pages_that_are_spoken_of_exist(page: Path) -> None:
    """A file that readers do not have is no place to send them."""
    known = {path.name for path in (*ROOT.glob("*.md"), *PAGES)}
    named = re.findall(r"[\w-]+\.md\b", page.read_text(encoding="utf-8"))

    assert set() == set(named) - known


@pytest.mark.skipif(not CHANGELOG.is_file(), reason="the changelog is elsewhere")
def test_changelog_entries_are_single_short_lines() -> None:
    """What takes more belongs on a page, or is two entries."""
    _, _, entries = CHANGELOG.read_text(encoding="utf-8").partition("\n## ")
    lines = [line for line in entries.splitlines()[1:] if line]

    assert [] == [line for line in lines if not line.startswith(("- ", "#"))]
    assert [] == [line for line in lines if len(line) > LONGEST_ENTRY]


@pytest.mark.parametrize(("page", "line"), dewy_lines())
def test_command_line_is_understood(page: str, line: str) -> None:
    """Every example of dewy has only options and arguments that exist."""
    words = shlex.split(re.sub(r"\s\d?>+\S*", "", line))

    parse(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_configurations_are_valid(page: Path, tmp_path: Path) -> None:
    """Every dewy.toml that a page shows is one that `server` or `container` takes."""
    for block in blocks(page, "toml"):
        (tmp_path / "dewy.toml").write_text(block, encoding="utf-8")
        if "img://" in block:
            assert resolve("container", {}, {}, tmp_path).registry
            continue
        given = {} if "registry" in block else {"registry": "file:///srv/releases"}
        if "port" not in block and "health-path" in block:
            given["port"] = "8080"

        assert resolve("server", {**given, "program": ["x"]}, {}, tmp_path).registry


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ours = {"PATH": path, "HOME": str(tmp_path), "DEWY_ADMIN_PORT": "0"}
    terminal = Terminal(tmp_path, {**os.environ, **ours})
    yield terminal
    terminal.close()


@needs("curl")
def test_tutorial_can_be_followed(terminal: Terminal, tmp_path: Path) -> None:
    """Word for word, save that polls are more frequent and the port is a free one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])

    for step in steps(DOCS / "tutorial.md"):
        command = step.command.replace("8000", port).replace('"2s"', '"200ms"')
        deadline = time.monotonic() + PATIENCE
        output, status = terminal.run(command)
        seen = neutral(output.replace(str(tmp_path), "…"))
        while LOOKS.match(command) and seen != neutral(step.output):
            assert time.monotonic() < deadline, f"{command!r} printed\n{output}"
            time.sleep(0.05)
            output, status = terminal.run(command)
            seen = neutral(output.replace(str(tmp_path), "…"))

        assert (neutral(step.output), 0) == (seen, status), command
