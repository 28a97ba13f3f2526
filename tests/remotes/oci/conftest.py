"""Registries of images, and clients of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from dewy.remotes import http
from dewy.remotes.oci.client import OCI
from dewy.remotes.oci.reference import Reference
from dewy.system import Clock
from tests.standins.image_api import ImageAPI
from tests.standins.image_tokens import TokenServer

PATIENT = http.Deadlines(connect=5.0, silence=5.0, answer=5.0)

Connect = Callable[..., OCI]


class Time:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.clock = Clock(monotonic=lambda: self.now)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def server() -> AsyncIterator[ImageAPI]:
    async with ImageAPI() as server:
        yield server


@pytest.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    async with TokenServer() as tokens:
        yield tokens


@pytest.fixture
def reference(server: ImageAPI) -> Reference:
    return Reference(server.host, "app")


@pytest.fixture
def connect(time: Time) -> Connect:
    """Makes clients; the keywords are their environment."""

    def connect(deadlines: http.Deadlines = PATIENT, **environ: str) -> OCI:
        return OCI(environ, clock=time.clock, deadlines=deadlines)

    return connect


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[OCI]:
    async with connect() as client:
        yield client
