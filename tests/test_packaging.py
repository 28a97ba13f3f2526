"""What is built from this tree: with a compiler, without one, or told not to use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.needs import needs

ROOT = Path(__file__).parent.parent
COPIED = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py", "dewy")

pytestmark = pytest.mark.packaging


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project whose only extension is trivial."""
    copy = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(source, copy)
    (copy / "_speedups").mkdir()
    (copy / "_speedups" / "answer.pxi").write_text("_answer = 42\n")
    (copy / "_speedups" / "answer_c.pyx").write_text(
        'include "answer.pxi"\n\ndef answer():\n    return _answer\n'
    )
    return copy


def unbiased() -> dict[str, str]:
    """The environment, without a word on extensions."""
    return {key: text for key, text in os.environ.items() if "_EXTENSIONS" not in key}


def build(
    project: Path, kind: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Build a `wheel` or an `sdist` with this environment's own setuptools."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=unbiased() | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def wheel(project: Path, **environment: str) -> Path:
    """Build the wheel and return it."""
    done = build(project, "wheel", **environment)
    assert 0 == done.returncode, done.stdout + done.stderr
    (path,) = (project / "dist").glob("*.whl")
    return path


def extensions(path: Path) -> list[str]:
    """The compiled modules in the wheel at *path*, by their stems."""
    names = zipfile.ZipFile(path).namelist()
    return [Path(name).name.partition(".")[0] for name in names if name.endswith(".so")]


@needs("compiler")
def test_source_is_built_into_the_package_and_works(project: Path) -> None:
    """`_speedups/answer_c.pyx` is installed as `dewy._speedups.answer_c`."""
    path = wheel(project, DEWY_REQUIRE_EXTENSIONS="1")
    zipfile.ZipFile(path).extractall(project / "installed")
    asked = "from dewy._speedups.answer_c import answer; print(answer())"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=project / "installed",
        env=unbiased(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "42\n" == done.stdout
    assert not path.name.endswith("-none-any.whl")


@needs("compiler")
def test_wheel_holds_no_sources_of_the_extension(project: Path) -> None:
    """Cython and C stay in the sdist; types and the pure twins go along."""
    names = zipfile.ZipFile(wheel(project)).namelist()

    assert [] == [name for name in names if name.endswith((".pyx", ".pxi", ".c"))]
    assert "dewy/py.typed" in names


def test_without_a_compiler_the_pure_twin_is_installed(project: Path) -> None:
    """A machine that can't compile still gets dewy."""
    assert [] == extensions(wheel(project, CC="/bin/false"))


def test_without_a_compiler_a_required_extension_fails_the_build(
    project: Path,
) -> None:
    """What publishes wheels can't publish one that lacks its extension."""
    done = build(project, "wheel", CC="/bin/false", DEWY_REQUIRE_EXTENSIONS="1")

    assert 0 != done.returncode
    assert "/bin/false" in done.stdout + done.stderr
    assert [] == [*project.glob("dist/*.whl")]


def test_no_extensions_variable_builds_pure_python_wheel(project: Path) -> None:
    """The pure wheel fits every machine, so it must not depend on this one."""
    path = wheel(project, DEWY_NO_EXTENSIONS="1")

    assert path.name.endswith("-py3-none-any.whl")
    assert [] == extensions(path)


def test_with_no_sources_there_is_nothing_to_require(project: Path) -> None:
    """An extension is required where one exists."""
    shutil.rmtree(project / "_speedups")
    path = wheel(project, DEWY_REQUIRE_EXTENSIONS="1")

    assert path.name.endswith("-py3-none-any.whl")


def test_sdist_carries_the_sources_of_the_extension(project: Path) -> None:
    """From the sdist everything can be built again, and nothing in it was built."""
    assert 0 == build(project, "sdist", DEWY_NO_EXTENSIONS="1").returncode
    (path,) = (project / "dist").glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"_speedups/answer_c.pyx", "_speedups/answer.pxi", "setup.py"} <= names
    assert set() == {name for name in names if name.endswith((".c", ".so", ".pyc"))}
