"""`dewy pause`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dewy.admin.control import PROXY_SOCKET, SOCKET, ControlServer
from dewy.errors import DewyError
from tests.cli.conftest import Asked, Dewy


@pytest.mark.parametrize(
    ("words", "seconds"), [((), None), (("--for", "90s"), 90.0), (("--for=2m",), 120.0)]
)
def test_dewy_is_asked_to_pause(
    dewy: Dewy, asked: Asked, words: tuple[str, ...], seconds: float | None
) -> None:
    ended = dewy("pause", *words)

    assert (0, "done\n", "") == (ended.status, ended.out, ended.err)
    assert [("pause", {"seconds": seconds})] == asked.verbs


def test_time_that_is_none_is_refused(dewy: Dewy, asked: Asked) -> None:
    ended = dewy("pause", "--for", "soon")

    assert 2 == ended.status
    assert "--for 'soon' must be a time" in ended.err
    assert [] == asked.verbs


def test_pause_without_running_dewy_is_an_error(dewy: Dewy) -> None:
    ended = dewy("pause")

    assert 1 == ended.status
    assert "no dewy runs in" in ended.err


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_pause_and_resume_fall_back_to_proxy_beside_dewy(
    root: Path, dewy: Dewy, verb: str
) -> None:
    """As beside `dewy server`."""

    async def refuses(*_: object) -> dict[str, Any]:
        raise DewyError("dewy server has no proxy")

    async def takes(verb: str, *_: object) -> dict[str, Any]:
        return {"message": f"did {verb}"}

    private = root / ".dewy"
    private.mkdir()
    async with ControlServer(private / SOCKET, refuses):
        ended = await asyncio.to_thread(dewy, verb)
        assert (1, "dewy: error: dewy server has no proxy\n") == (
            ended.status,
            ended.err,
        )
        async with ControlServer(private / PROXY_SOCKET, takes):
            ended = await asyncio.to_thread(dewy, verb)

    assert (0, f"did {verb}\n", "") == (ended.status, ended.out, ended.err)
