"""A backend and both implementations of the proxy, for the benchmarks of the parts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .backends import backends
from .contestants import Contestant, dewy
from .processes import free_ports, raise_descriptor_limit

DESCRIPTORS = 4096
MANY = 1000


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """Where configurations, bodies and logs go; others may read it."""
    with tempfile.TemporaryDirectory(prefix="dewy-bench-") as temporary:
        path = Path(temporary)
        path.chmod(0o755)  # nginx gives up root before it reads the bodies
        yield path


@pytest.fixture(scope="session")
def addresses(directory: Path) -> Iterator[list[str]]:
    """Addresses of a backend with very many ports."""
    raise_descriptor_limit()
    with backends(free_ports(MANY), directory, DESCRIPTORS) as served:
        yield served


@pytest.fixture(scope="session", params=["compiled", "pure"])
def compiled(request: pytest.FixtureRequest) -> bool:
    """Which of the two implementations."""
    chosen: str = request.param
    return chosen == "compiled"


@pytest.fixture(scope="session", params=[2, MANY], ids="{} backends".format)
def chosen_from(request: pytest.FixtureRequest, addresses: list[str]) -> Sequence[str]:
    """Few backends, and many."""
    count: int = request.param
    return addresses[:count]


@pytest.fixture(scope="session")
def proxy(
    compiled: bool, chosen_from: Sequence[str], directory: Path
) -> Iterator[Contestant]:
    """`dewy proxy` in a process of its own, before *chosen_from*."""
    with dewy(compiled=compiled)(chosen_from, directory) as contestant:
        yield contestant
