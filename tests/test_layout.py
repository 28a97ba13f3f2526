"""The house keeps its shape: where things are, how long, and who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

import dewy
from dewy import _speedups
from tests.elsewhere import TESTED_ELSEWHERE

ROOT = Path(__file__).parent.parent
PACKAGE = Path(dewy.__file__).parent
TESTS = ROOT / "tests"

# What a deployment asks; none of them knows another.
STRANGERS = {"registries", "artifacts", "caches", "notifiers"}

# From the top down. A unit may import what is below it and, unless they are
# strangers, what stands beside it; never in circles.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"demo"},
    {
        "admin",
        "agent",
        "boot",
        "follow_up",
        "checks",
        "daemon",
        "operations",
        "polling",
        "release_watch",
        "telemetry",
    },
    {"deploy", "supervisor", "containers", "proxy"},
    STRANGERS,
    {"remotes"},
    {
        "config",
        "histogram",
        "ioprocess",
        "errors",
        "files",
        "logs",
        "loop",
        "release",
        "reload",
        "schemes",
        "signals",
        "system",
        "systemd",
        "threads",
        "urls",
        "versions",
    },
    {"_speedups", "__init__"},
)
TELEMETRY_READERS = {"checks", "daemon"}


# dev/write-grpc writes these.
GENERATED = "remotes/grpc/registry_pb2"

LINES = 500
EMPTY_WORDS = {
    "common",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "util",
    "utils",
}
HEAVY = {
    "aiodocker",
    "aiohttp",
    "aiosmtplib",
    "boto3",
    "consul",
    "cryptography",
    "google",
    "grpc",
    "opentelemetry",
    "prometheus_client",
    "redis",
    "slack_sdk",
    "uvloop",
    "zstandard",
}


def modules() -> list[str]:
    """Every module of the package, by its path in it."""
    return sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def sources() -> list[str]:
    """Every Python and Cython file that is ours, by its path in the checkout."""
    places = [TESTS, ROOT / "_speedups", ROOT / "benchmarks", ROOT / "dev"]
    kept = [path for place in places for path in place.rglob("*.p[yx]*")]
    kept += [PACKAGE / name for name in modules()] + list(ROOT.glob("*.py"))
    return sorted(
        str(path) for path in kept if path.suffix in {".py", ".pyx", ".pxd", ".pxi"}
    )


def shown(path: str) -> str:
    """A short, stable test id."""
    whole = Path(path)
    return str(whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole.name)


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """
    Every module of dewy that *tree* imports: anywhere in it, relatively or not,
    and by import strings such as `dewy.registries.file:FileRegistry`.

    Names imported from a package count as modules of it, which they may be.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [tuple(name.name.split(".")) for name in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else ()
                base += tuple(module.split(".")) if module else ()
                found = [(*base, name.name) for name in names]
            case ast.Constant(value=str(text)) if re.fullmatch(r"dewy[.\w]*:\w+", text):
                found = [tuple(text.partition(":")[0].split("."))]
            case _:
                continue
        yield from (target for target in found if target[0] == "dewy")


def unit(parts: tuple[str, ...]) -> str:
    """What of the package a module belongs to: the first name below `dewy`."""
    name = parts[1] if len(parts) > 1 else "__init__"
    there = (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
    return name if there else "__init__"


def arrows(module: str) -> set[tuple[str, str]]:
    """From the unit of *module* to every other unit that it imports."""
    path = PACKAGE / module
    parts = ("dewy", *Path(module).with_suffix("").parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = {unit(target) for target in imports(tree, parts[:-1])}
    return {(unit(parts), target) for target in targets - {unit(parts)}}


def level(name: str) -> int:
    """The row of *name*, counted from the top."""
    for row, names in enumerate(LAYERS):
        if name in names:
            return row
    pytest.fail(f"dewy/{name} has no place in LAYERS yet", pytrace=False)


def permitted(source: str, target: str) -> bool:
    """Whether *source* may import *target*, circles apart."""
    if target == "telemetry":
        return source in TELEMETRY_READERS
    if source == "telemetry":
        return level(target) >= level("remotes")
    if source == "_speedups":
        return False
    if {source, target} <= STRANGERS:
        return False
    return level(source) <= level(target)


@pytest.fixture(scope="module")
def imported() -> dict[str, set[tuple[str, str]]]:
    """Map each module to its arrows."""
    return {module: arrows(module) for module in modules()}


def test_imports_follow_the_arrows(
    imported: dict[str, set[tuple[str, str]]],
) -> None:
    """cli → agent, admin → what deploys → what it asks → remotes → the ground."""
    wrong = [
        (module, arrow)
        for module, found in imported.items()
        for arrow in found
        if not permitted(*arrow)
    ]

    assert [] == wrong


def test_units_do_not_import_each_other(
    imported: dict[str, set[tuple[str, str]]],
) -> None:
    """Beside or below, no chain of imports comes back to where it started."""
    graph: dict[str, set[str]] = {}
    for found in imported.values():
        for source, target in found:
            graph.setdefault(source, set()).add(target)
    while leaves := {name for name in graph if not graph[name] & graph.keys()}:
        for name in leaves:
            del graph[name]

    assert {} == graph


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import dewy.cli", {("dewy", "cli")}),
        ("from ..agent import run", {("dewy", "agent", "run")}),
        ("def f():\n    from .. import loop", {("dewy", "loop")}),
        ("from .file import File", {("dewy", "caches", "file", "File")}),
        ("x = 'dewy.remotes.github:GitHub'", {("dewy", "remotes", "github")}),
        ("import os\nlabel = 'dewy.app'", set()),
    ],
)
def test_no_way_of_importing_is_overlooked(code: str, expected: set[object]) -> None:
    """The other tests here are worth what this function sees."""
    assert expected == set(imports(ast.parse(code), ("dewy", "caches")))


def test_files_are_short() -> None:
    """A file that outgrows the limit holds two subjects."""
    lengths = {
        shown(path): Path(path).read_text(encoding="utf-8").count("\n")
        for path in sources()
    }

    assert {} == {path: lines for path, lines in lengths.items() if lines > LINES}


def test_attributes_are_assigned_by_their_own_object() -> None:
    """What changes an object is a method of it, or an argument of its constructor."""
    loader = SourceFileLoader("figures", str(ROOT / "dev" / "figures"))
    figures = module_from_spec(spec_from_loader("figures", loader))
    loader.exec_module(figures)
    found = [
        f"{path.relative_to(PACKAGE)}:{target.lineno}: {ast.unparse(target)}"
        for path, tree in figures.parsed(str(PACKAGE)).items()
        for target in figures.foreign_assignments([tree])
    ]

    assert [] == found


def test_names_of_modules_name_the_field() -> None:
    """Kinds of code are no subject."""
    named = [
        module
        for module in modules()
        if EMPTY_WORDS.intersection(re.split(r"[/_.]", module))
    ]

    assert [] == named


def has_code(module: str) -> bool:
    """Whether *module* does something: a façade, names and protocols do not."""
    if Path(module).name == "__init__.py" or GENERATED in module:
        return False
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(tree)
    )


def mirror_of(module: str) -> Path:
    """Return the file that tests *module*: the mirrored one, if none is listed."""
    path = Path(module)
    mirrored = path.with_name(f"test_{path.name}")
    return TESTS / TESTED_ELSEWHERE.get(module, mirrored)


def test_modules_have_their_tests() -> None:
    """`dewy/deploy/plan.py` is tested by `tests/deploy/test_plan.py`."""
    untested = [
        module
        for module in modules()
        if has_code(module) and not mirror_of(module).is_file()
    ]

    assert [] == untested


@pytest.mark.parametrize(
    "arguments", [["-c", "import dewy"], ["-m", "dewy", "--version"]], ids=" ".join
)
def test_cheap_commands_import_nothing_heavy(arguments: list[str]) -> None:
    """What a command does not use, it does not wait for."""
    python = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(
        python, capture_output=True, text=True, check=True, timeout=60
    )
    lines = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if "|" in line}

    assert "dewy" in imported
    assert set() == {name.partition(".")[0] for name in imported} & HEAVY


def test_extensions_are_those_with_a_source() -> None:
    """Each compiled module has a source, a stub and a pure twin, and no other has."""
    stems = {path.stem for path in (ROOT / "_speedups").glob("*.pyx")}
    face = PACKAGE / "_speedups"

    assert stems == set(_speedups.EXTENSIONS)
    for stem in stems:
        assert (face / f"{stem}.pyi").is_file()
        assert (face / f"{stem.removesuffix('_c')}_py.py").is_file()


def test_files_contain_no_local_paths() -> None:
    """No path of the checkout or of anybody's home directory is in a file."""
    homes = re.compile(r"(?<![\w.])/(?:home|Users)/\w+/")
    here = [str(path) for path in (ROOT, Path.home()) if len(path.parts) > 2]
    text = {
        path: path.read_text(encoding="utf-8", errors="replace") for path in texts()
    }
    named = [
        shown(str(path))
        for path, content in text.items()
        if homes.search(content) or any(place in content for place in here)
    ]

    assert [] == named


def texts() -> Iterator[Path]:
    """Every file a reader of the project sees."""
    hidden = {".ci", ".github"}
    skipped = {"build", "dist", "wheelhouse", "__pycache__"}
    for top in ROOT.iterdir():
        if top.name in skipped or (top.name.startswith(".") and top.name not in hidden):
            continue
        for path in top.rglob("*") if top.is_dir() else [top]:
            if path.is_file() and path.suffix not in {".so", ".pyc"}:
                yield path
