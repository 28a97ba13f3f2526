"""The first hour on a server, as the pages have it, and the worst one."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import needs
from tests.standins.service_manager import install_programs, placed
from tests.standins.terminal import Terminal, steps

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BUILT = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py", "dewy")
PATIENCE = 60.0

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are elsewhere"),
    needs("curl", "systemd-analyze", "systemd-socket-activate", "start_server"),
]


class Server:
    """
    A server that is set up by typing what the pages show.

    Directories are below *base*, the port is a free one, and the registry is a
    directory; all else is typed word for word.
    """

    def __init__(self, base: Path, port: int) -> None:
        self.base, self.port = base, port
        self.registry = base / "registry" / "shop"
        self.terminal: Terminal

    def open(self) -> None:
        install_programs(self.base / "bin")
        Path(placed("/usr/local/bin", str(self.base))).mkdir(parents=True)
        Path(placed("/etc/systemd/system", str(self.base))).mkdir(parents=True)
        Path(placed("/opt/dewy", str(self.base))).mkdir(parents=True)
        for unit in (ROOT / "contrib" / "systemd").glob("*@.*"):
            shutil.copy(unit, self.base)
        ours = [str(self.base / "bin"), placed("/usr/local/bin", str(self.base))]
        variables = {
            "PATH": os.pathsep.join([*ours, os.environ["PATH"]]),
            "HOST": str(self.base),
            "HOME": str(self.base),
            "DEWY_ADMIN_PORT": "0",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DEWY_")}
        self.terminal = Terminal(self.base, {**inherited, **variables})

    def close(self) -> None:
        if Path(placed("/etc/systemd/system/dewy@.service", str(self.base))).exists():
            self.terminal.run("systemctl stop dewy@shop.service")
        self.terminal.close()

    def type(self, command: str) -> str:
        """Type *command*, which has to succeed; return its output."""
        here = placed(command, str(self.base))
        here = here.replace("ghr://acme/shop", f"file://{self.registry}")
        here = here.replace(
            "--port 8080 ", f"--port 127.0.0.1:{self.port} --interval 200ms "
        )
        here = here.replace("0.0.0.0:8080", f"127.0.0.1:{self.port}")
        here = here.replace("--port 8080=", f"--port 127.0.0.1:{self.port}=")
        here = re.sub(r"-cp\d+-cp\d+-linux_x86_64", "-py3-none-any", here)
        output, status = self.terminal.run(here)
        assert 0 == status, f"{here}\n{output}"
        return output

    def follow(self, page: str, section: str) -> list[str]:
        """Type all of a *section* of a *page*; return the outputs."""
        typed = [self.type(step.command) for step in steps(DOCS / page, section)]
        assert typed, section
        return typed

    def publish(self, version: str, program: str) -> None:
        """Show a release whose program is *program*, as the tutorial does."""
        hidden = self.registry / f".{version}"
        content = self.base / f"content-{version}"
        content.mkdir()
        (content / "VERSION").write_text(f"{version}\n")
        (content / "shop").write_text(f"#!/usr/bin/env python3\n{program}")
        (content / "shop").chmod(0o755)
        hidden.mkdir(parents=True)
        archive = hidden / "shop.tar.gz"
        subprocess.run(["tar", "-C", content, "-czf", archive, "."], check=True)
        hidden.rename(self.registry / version)

    def until(self, command: str, *expected: str) -> str:
        """Type *command* until all of *expected* is in its output."""
        deadline = time.monotonic() + PATIENCE
        while True:
            output, _ = self.terminal.run(placed(command, str(self.base)))
            if all(text in output for text in expected):
                return output
            assert time.monotonic() < deadline, f"{command}\n{output}"
            time.sleep(0.05)  # the pages have readers ask again, too

    def answers(self, version: str) -> None:
        url = f"http://127.0.0.1:{self.port}"
        self.until(f"curl -s {url}", f"hello from {version}\n")


def documented_program() -> str:
    """The program of the tutorial."""
    step = next(it for it in steps(DOCS / "tutorial.md") if "hello.py <<" in it.command)
    return step.command.partition("\n")[2].removesuffix("EOF\n")


def wheel(base: Path, version: str) -> Path:
    """Build the wheel that fits every server, of this tree but as *version*."""
    copy = base / f"source-{version}"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    copy.mkdir()
    for name in BUILT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy)
    for path in (copy / "pyproject.toml", copy / "dewy" / "__init__.py"):
        path.write_text(path.read_text().replace('"0.1.0"', f'"{version}"'))
    code = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    environment = {k: v for k, v in os.environ.items() if "_EXTENSIONS" not in k}
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env={**environment, "DEWY_NO_EXTENSIONS": "1"},
        capture_output=True,
        check=True,
    )
    (built,) = (copy / "dist").glob("*.whl")
    return built.rename(base / built.name)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Server(tmp_path, port)
    server.open()
    yield server
    server.close()


def verified(base: Path) -> None:
    """Have systemd judge the installed units."""
    units = Path(placed("/etc/systemd/system", str(base)))
    for unit in units.glob("dewy@.*"):
        judged = base / unit.name.replace("@", "@shop")
        judged.write_text(placed(unit.read_text(), str(base)))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", judged],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ("", 0) == (done.stderr, done.returncode)


def test_first_hour_on_a_server(server: Server) -> None:
    """Install, deploy, meet a bad version, go back, upgrade, and rescue by hand."""
    good = documented_program()
    bad = "raise SystemExit('there is no database')\n"
    wheel(server.base, "0.1.0")
    wheel(server.base, "0.2.0")
    server.publish("v1.0.0", good)

    *_, version = server.follow("how-to/install.md", "Install it")
    assert version.startswith("dewy version: 0.1.0")
    server.follow("how-to/install.md", "Run an application")
    verified(server.base)
    server.answers("v1.0.0")

    server.publish("v1.1.0", good)
    server.answers("v1.1.0")
    server.publish("v1.2.0", bad)
    server.type("cd /var/lib/dewy/shop")
    server.until("dewy status", "v1.2.0 is in quarantine")
    outputs = server.follow("emergencies.md", "Is it dewy or the application?")
    assert any("there is no database" in each for each in outputs)
    server.answers("v1.1.0")
    server.follow("emergencies.md", "A bad version runs")
    server.answers("v1.0.0")
    server.follow("emergencies.md", "A bad version keeps coming back")
    assert "hold:" in server.type("dewy status")
    server.type("dewy unhold")
    server.publish("v1.3.0", good)
    server.answers("v1.3.0")

    server.type("cd")
    server.follow("how-to/install.md", "Upgrade")
    assert "dewy version: 0.2.0" in server.type("dewy --version")
    server.answers("v1.3.0")
    server.follow("how-to/install.md", "Go back")
    assert "dewy version: 0.1.0" in server.type("dewy --version")
    server.answers("v1.3.0")

    # Without dewy, by the program that the pages show.
    server.type("cd /var/lib/dewy/shop")

    stop, *instead = steps(DOCS / "emergencies.md", "A program")
    server.type(stop.command)
    assert [True] * 2 == ["current/shop" in step.command for step in instead]
    for step in instead:
        server.type(f"{step.command} >/dev/null 2>&1 &")
        server.answers("v1.3.0")
        server.type("kill %%; wait")
    server.type("systemctl start dewy@shop.service")
    server.answers("v1.3.0")
