"""A GitHub with one repository, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from dewy.remotes import http
from dewy.remotes.download import Effort
from dewy.remotes.github import GitHub, GitHubAccount, Repository
from dewy.system import Clock
from tests.standins.github import TOKEN, GitHubServer

APP = Repository("acme", "app")
PATIENT = http.Deadlines(connect=5.0, silence=5.0, answer=5.0)

Connect = Callable[..., AbstractAsyncContextManager[GitHub]]


async def _at_once(seconds: float) -> None:
    pass


@pytest.fixture
def repository() -> Repository:
    return APP


@pytest.fixture
async def server() -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        yield server


@pytest.fixture
def connect(server: GitHubServer) -> Connect:
    """Makes clients; its arguments are what an operator sets, over a token."""

    def connect(
        clock: Clock | None = None,
        deadlines: http.Deadlines = PATIENT,
        **environ: str,
    ) -> GitHub:
        stated = {"GITHUB_API_URL": server.api, "GITHUB_TOKEN": TOKEN, **environ}
        account = GitHubAccount.from_environment(stated)
        effort = Effort(silence=deadlines.silence, wait=_at_once)
        return GitHub(account, clock=clock, deadlines=deadlines, effort=effort)

    return connect


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[GitHub]:
    async with connect() as client:
        yield client
