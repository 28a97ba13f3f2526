"""Builds `dewy._speedups.*` from `_speedups/*.pyx`; the rest is in pyproject.toml."""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

NEVER = bool(os.environ.get("DEWY_NO_EXTENSIONS"))
REQUIRED = bool(os.environ.get("DEWY_REQUIRE_EXTENSIONS"))


def extensions() -> list[Extension]:
    """Name each `_speedups/<stem>.pyx` as the module `dewy._speedups.<stem>`."""
    sources = sorted(Path("_speedups").glob("*.pyx"))
    # epoll, splice and eventfd are Linux.
    compilable = sys.implementation.name == "cpython" and sys.platform == "linux"
    if NEVER or not compilable or not sources:
        return []

    from Cython.Build import cythonize

    modules = cythonize(
        [
            Extension(
                f"dewy._speedups.{source.stem}",
                [str(source)],
                extra_compile_args=["-O3", "-g0"],
            )
            for source in sources
        ],
        include_path=["_speedups"],
        build_dir="build/cython",
    )
    for module in modules:
        # Set afterwards: cythonize() does not carry the flag over.
        module.optional = not REQUIRED
    return modules


setup(ext_modules=extensions())
