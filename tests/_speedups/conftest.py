"""Both twins of the relay, and what stands on either side of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest

from tests.standins.plane import Origin, Plane, listening

TWINS = {"c-threads": ("relay_c", 1), "c-loop": ("relay_c", 0), "py": ("relay_py", 0)}


def relay_of(twin: str) -> tuple[Callable[..., Any], int]:
    """The class of *twin* and its threads; the compiled one may be absent."""
    module, threads = TWINS[twin]
    name = f"dewy._speedups.{module}"
    if module == "relay_c" and not os.environ.get("DEWY_REQUIRE_EXTENSIONS"):
        pytest.importorskip(name)
    return import_module(name).Relay, threads


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> str:
    """Each implementation in turn, the compiled one in both its modes."""
    relay_of(request.param)
    return str(request.param)


@pytest.fixture
def started(twin: str) -> Iterator[Callable[..., Plane]]:
    """Starts a relay with options."""
    planes: list[Plane] = []
    relay, threads = relay_of(twin)

    def start(*, threads: int = threads, **options: Any) -> Plane:
        planes.append(Plane(relay, threads, **options))
        return planes[-1]

    yield start
    for plane in planes:
        plane.close()


@pytest.fixture
def plane(started: Callable[..., Plane]) -> Plane:
    """A started relay with its usual options."""
    return started()


@pytest.fixture
def origins() -> Iterator[Callable[[], Origin]]:
    """Opens backends."""
    with ExitStack() as stack:
        yield lambda: Origin(stack.enter_context(listening()))


@pytest.fixture
def origin(origins: Callable[[], Origin]) -> Origin:
    """A backend."""
    return origins()
