"""
What holds for every test.

Nothing blocks the event loop, no task outlives its test, no setting of the
person who runs the tests reaches the code under test, and what was left out
for want of a part of the machine is told at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from dewy import loop
from dewy._speedups import COMPILED
from dewy.remotes import Clients
from tests import needs
from tests.parts import QUICK, REST, part_of

# Not only the tests' own loop, but those of the threads and processes they start.
os.environ["DEWY_LOOP"] = os.environ.get("DEWY_TEST_LOOP", "")

# Fixtures: an agent; registries, images, and the engines of this machine.
pytest_plugins = ["tests.standins.agents", "tests.standins.engines"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

# Where blocking is deliberate: dewy forks from its main thread, as the kernel ties
# a child's parent-death signal to the thread that forked it; and what these read
# of /proc comes from memory. A listener that others share stays as blocking as it is;
# it is asked only for connections that wait.
MAY_BLOCK = [
    ("dewy/supervisor/worker.py", {"spawn"}),
    ("dewy/deploy/hooks.py", {"_spawn"}),
    ("dewy/ioprocess/process.py", {"_spawn"}),
    ("dewy/system.py", {"boot_id", "start_time"}),
    ("dewy/_speedups/port_py.py", {"accept"}),
]

# Instructions to this test suite rather than to dewy.
KEPT = (
    "DEWY_LOOP",
    "DEWY_NO_EXTENSIONS",
    "DEWY_REQUIRE_EXTENSIONS",
    "DEWY_SOAK",
    "DEWY_TEST_",
)
FOREIGN = (
    "AWS_",
    "CONSUL_",
    "CONTAINER_",
    "DEWY_",
    "DOCKER_",
    "GCR_TOKEN",
    "GH_",
    "GITHUB_",
    "GOOGLE_",
    "LISTEN_",
    "MAIL_",
    "NOTIFY_SOCKET",
    "OTEL_",
    "REDIS_",
    "REGISTRY_AUTH_FILE",
    "SERVER_STARTER_",
    "SLACK_",
    "WATCHDOG_",
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, LoopFactory]:
    """The loop dewy itself would take; `DEWY_TEST_LOOP=asyncio` has the other one."""
    return {loop.name(): _new_loop}


def _new_loop() -> asyncio.AbstractEventLoop:
    made = (loop.loop_factory() or asyncio.new_event_loop)()
    made.set_exception_handler(_heed_the_alarm)
    return made


def _heed_the_alarm(
    made: asyncio.AbstractEventLoop, context: dict[str, object]
) -> None:
    """uvloop brings here what a signal's handler raises, and would wait on."""
    error = context.get("exception")
    if not isinstance(error, pytest.fail.Exception):
        made.default_exception_handler(context)
        return
    for task in asyncio.all_tasks(made):
        task.cancel(str(error))


def pytest_report_header() -> str:
    """Say which of the two data planes and of the two loops is under test."""
    plane = "compiled" if COMPILED else "pure Python"
    return f"dewy: {plane}, {loop.name()}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--part`, by which `make quick` and `make test` divide the suite."""
    parser.addoption("--part", choices=[QUICK, REST], help="Run one part of the suite.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of the other part: importing them takes longest."""
    part = config.getoption("--part")
    if not part or collection_path.suffix != ".py":
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    return part_of(path) != part or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At full size, whatever has a full size is a soak test."""
    for item in items:
        sized = "soak" in getattr(item, "fixturenames", ())
        if sized and os.environ.get("DEWY_SOAK"):
            item.add_marker("soak")


class FailuresAtOnce:
    """Shows each failure when it happens, as a run may not come to its summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            terminal = self._config.get_terminal_writer()
            terminal.line(f"\n{report.nodeid} failed in {report.when}:")
            terminal.line(report.longreprtext)


def pytest_configure(config: pytest.Config) -> None:
    """In CI, whose log may end without a summary."""
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour `needs(...)`."""
    for mark in item.iter_markers("needs"):
        for part in mark.args:
            needs.require(part)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what this machine lacks, whichever process found it out; time CI."""
    if began := os.environ.get("CI_BEGAN"):
        taken = time.time() - float(began)
        terminalreporter.line(f"since CI began: {taken / 60:.1f} minutes")
    skipped = terminalreporter.stats.get("skipped", [])
    missing = needs.told(str(report.longrepr) for report in skipped)
    if missing:
        parts = ", ".join(sorted(missing))
        terminalreporter.section("left out")
        scripts = "dev/install-services and dev/start-services"
        terminalreporter.line(f"missing: {parts}; run {scripts}")


@pytest.fixture(autouse=True)
def _logging_is_restored() -> Iterator[None]:
    """dewy configures the logging of its whole process."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.getLogger("dewy").setLevel(logging.NOTSET)


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    """What registries and artifact stores share; ended with the test."""
    async with Clients() as shared:
        yield shared


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the settings and tokens of whoever runs the tests."""
    for name in list(os.environ):
        foreign = name.startswith(FOREIGN) or name.lower().endswith("_proxy")
        if foreign and not name.startswith(KEPT):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _guard() -> BlockBuster:
    guard = BlockBuster(scanned_modules="dewy")
    for function in guard.functions.values():
        for file, names in MAY_BLOCK:
            function.can_block_in(file, names)
    return guard


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop(_guard: BlockBuster) -> Iterator[None]:
    """Raise where dewy blocks inside a running loop; tests themselves may."""
    _guard.activate()
    yield
    _guard.deactivate()


@pytest.fixture
async def _tasks_are_owned() -> AsyncIterator[None]:
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        names = "\n".join(sorted(map(repr, left)))
        pytest.fail(f"tasks outlive the test:\n{names}", pytrace=False)


@pytest.fixture(autouse=True)
def _no_task_outlives_its_test(request: pytest.FixtureRequest) -> None:
    """
    Fail an asynchronous test that leaves tasks on its loop.

    Autouse, so that it is set up before the test's own fixtures and looks
    after they are gone.
    """
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("_tasks_are_owned")


@pytest.fixture(scope="session")
def soak() -> bool:
    """Whether the full-size figures were asked for (`make soak`)."""
    return bool(os.environ.get("DEWY_SOAK"))
