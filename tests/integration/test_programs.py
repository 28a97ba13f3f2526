"""Programs that know nothing of dewy serve on through restarts and a deployment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

from dewy.demo.scenario import PROGRAM
from tests.eventually import eventually
from tests.needs import needs, require
from tests.standins import programs
from tests.standins.load import Load
from tests.standins.restarts import restart
from tests.standins.site import Dewy

STARTERS = Path(programs.__file__).with_name("starters")
PYTHON = (sys.executable, "-S")
JOBS = 60

# Readiness as shell scripts tell it.
NOTIFIES = PROGRAM.read_text().replace(
    "    say_ready()\n",
    "    import subprocess\n"
    "    subprocess.run(['systemd-notify', '--ready'], check=True)\n",
)

Measured = Callable[[object], None]


@dataclass(frozen=True)
class Program:
    """How a program is started, and the files that it is made of."""

    command: tuple[str, ...]
    files: tuple[str, ...]
    options: tuple[str, ...] = ("--start-grace", "300ms")

    def publish(self, dewy: Dewy, version: str) -> None:
        content = {name: (STARTERS / name).read_text() for name in self.files}
        archive = programs.tarball({**content, "VERSION": version})
        programs.publish(dewy.registry, version, archive)


STARLET = Program(
    ("plackup", *("-s", "Starlet"), *("--max-workers", "4"), "current/app.psgi"),
    ("app.psgi",),
)
GUNICORN = Program(
    (*(sys.executable, "-m", "gunicorn"), *("--chdir", "current"), "wsgi:app"),
    ("wsgi.py",),
)
SERVER_STARTER = Program(
    (*PYTHON, "current/server_starter.py"), ("server_starter.py", "serve.py")
)
SD_LISTEN_FDS = Program(
    (*PYTHON, "current/sd_listen_fds.py"), ("sd_listen_fds.py", "serve.py")
)


@pytest.fixture
def site(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    site = Dewy(tmp_path, unused_tcp_port)
    site.root.mkdir()
    site.registry.mkdir()
    return site


async def serves_on(dewy: Dewy, publish: Callable[[str], object]) -> Load:
    """Two restarts and one deployment of *dewy* under load; what clients saw."""
    publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        async with Load(dewy.port, rate=100, kept=3) as load:
            for _ in range(2):
                await restart(dewy)
                await load.goes_on(arrivals=20)
            publish("v2.0.0")
            await dewy.runs("v2.0.0")
            await load.until(lambda report: "v2.0.0" in report.versions)
            await load.goes_on(arrivals=20)
        assert {} == load.report.failures, f"{load.report}\n{dewy.log}"
        assert {"v1.0.0", "v2.0.0"} == set(load.report.versions)
    return load


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(STARLET, marks=needs("starlet"), id="Starlet"),
        pytest.param(GUNICORN, marks=needs("gunicorn"), id="gunicorn"),
        pytest.param(SERVER_STARTER, id="SERVER_STARTER_PORT"),
        pytest.param(SD_LISTEN_FDS, id="sd_listen_fds"),
    ],
)
async def test_program_serves_on(
    site: Dewy, program: Program, measured: Measured
) -> None:
    site.program, site.options = program.command, program.options
    load = await serves_on(site, lambda version: program.publish(site, version))

    measured(load.report)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Builds the Go program of one version."""
    go = which("go") or which("go", path="/usr/local/go/bin")
    require("go", go is not None)
    output = tmp_path_factory.mktemp("go") / "program"
    alone = {"CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local"}

    def build(version: str) -> bytes:
        linked = ("-ldflags", f"-X main.version={version}")
        subprocess.run(
            [str(go), "build", *linked, "-o", output, STARTERS / "main.go"],
            env={**os.environ, **alone},
            check=True,
        )
        return output.read_bytes()

    return build


async def test_go_program_released_as_bare_executable_serves_on(
    site: Dewy, build: Callable[[str], bytes], measured: Measured
) -> None:
    """What it reads is SERVER_STARTER_PORT, with no interpreter between."""
    site.program, site.options = ("current/program",), ("--start-grace", "300ms")
    site.registry_url = f"file://{site.registry}?artifact=program"
    artifacts = {version: build(version) for version in ("v1.0.0", "v2.0.0")}
    load = await serves_on(
        site,
        lambda version: programs.publish(
            site.registry, version, artifacts[version], "program"
        ),
    )

    measured(load.report)


@needs("systemd-notify")
async def test_systemd_notify_tells_readiness(site: Dewy, measured: Measured) -> None:
    """A process of its own says it, waits for the barrier, and has ended by then."""
    assert NOTIFIES != PROGRAM.read_text()
    site.options = ("--ready", "notify")
    load = await serves_on(site, lambda version: site.publish(version, NOTIFIES))

    measured(load.report)


async def test_job_worker_without_ports_does_every_job_once(site: Dewy) -> None:
    """Old and new generation overlap, and none ends in the middle of a job."""
    program = Program((*PYTHON, "current/job.py"), ("job.py",))
    site.port, site.program, site.options = 0, program.command, program.options
    for name in ("jobs", "taken", "done"):
        (site.root / name).mkdir()
    todo, done = site.root / "jobs", site.root / "done"

    async def works() -> None:
        before = len(list(done.iterdir()))
        for n in range(before, before + JOBS):
            (todo / f"{n:04}").touch()
        await eventually(lambda: len(list(done.iterdir())) > before)

    program.publish(site, "v1.0.0")
    async with site:
        await site.runs("v1.0.0")
        for _ in range(2):
            await works()
            await restart(site)
        await works()
        program.publish(site, "v2.0.0")
        await site.runs("v2.0.0")
        await works()
        await eventually(lambda: not list(todo.iterdir()))
    by = [path.read_text() for path in done.iterdir()]

    assert {"v1.0.0", "v2.0.0"} == set(by)
    assert len(by) == len(list((site.root / "taken").iterdir()))
