"""Client of the control socket of a running dewy."""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from ..deploy.lock import STARTING, STOPPING, Holder, holder
from ..errors import DewyError
from .control import LOCKS, PROXY_LOCK, SOCKET, Progress, address

__all__ = ["NotAnswering", "NotRunning", "ask"]

LONGEST_ANSWER = 16 * 1024 * 1024

MOMENT = 5.0
"""Seconds that a dewy which starts or stops has to answer commands, or to end."""

LOOK = 0.05

_PHASES = {
    STARTING: "is starting; try again",
    STOPPING: "is stopping; try again once it has ended",
}


class NotRunning(DewyError):
    """The root has no running dewy."""


class NotAnswering(NotRunning):
    """
    The root has a dewy that answers no command at the moment, such as while it starts.
    """


async def ask(
    private: Path,
    verb: str,
    patience: float = 10.0,
    progress: Progress | None = None,
    *,
    through: str = SOCKET,
    **args: object,
) -> dict[str, Any]:
    """
    Return the answer to *verb* of the dewy in the root that contains *private*.

    *through* is the name of the socket there, which differs for its proxy. A dewy that
    is starting has some seconds to answer.

    *progress* is called with each step; a cancellation of the call cancels the request.

    Raises:
        NotRunning: the root has no running dewy.
        NotAnswering: it has one, but that answers no command at the moment.
        DewyError: dewy refused, or did not answer within *patience* seconds.
    """
    try:
        async with asyncio.timeout(patience):
            reader, writer = await _reach(private, through)
            try:
                request = {"verb": verb, **args}
                if progress is not None:
                    request["stream"] = True
                answer = await _exchange(reader, writer, request, progress)
            except (ConnectionError, ValueError) as exc:
                told = await asyncio.to_thread(_cut_short, private, through)
                raise DewyError(told) from exc
            finally:
                writer.close()
    except TimeoutError:
        raise DewyError(
            f"the dewy in {private.parent} did not answer within {patience:g} s"
        ) from None
    if not answer.get("ok"):
        raise DewyError(str(answer.get("error") or "dewy refused without a reason"))
    return answer


async def _reach(private: Path, name: str) -> tuple[StreamReader, StreamWriter]:
    """Connect, and wait a moment for a dewy that has the root but no socket yet."""
    loop = asyncio.get_running_loop()
    until = loop.time() + MOMENT
    while True:
        try:
            return await _connect(private, name)
        except NotRunning:
            found = await asyncio.to_thread(holder, private, LOCKS[name])
            if found is None:
                raise NotRunning(await asyncio.to_thread(_none, private)) from None
            # Whatever its phase: a lock just taken does not tell it yet.
            if loop.time() >= until:
                raise NotAnswering(_silent(found, private.parent)) from None
        await asyncio.sleep(LOOK)


def _none(private: Path) -> str:
    """Return that no dewy runs in the root, and what does."""
    proxy = holder(private, PROXY_LOCK)
    beside = f", only a dewy proxy (pid {proxy.pid})" if proxy else ""
    return f"no dewy runs in {private.parent}{beside}"


def _cut_short(private: Path, name: str) -> str:
    """Return what became of a dewy that ended a connection without an answer."""
    found = holder(private, LOCKS[name])
    if found is None or found.phase == STOPPING:
        return "dewy left before it answered"
    return (
        f"dewy with pid {found.pid} in {private.parent} ended the connection before it "
        "answered; its log says why, such as a want of descriptors"
    )


def _silent(found: Holder, root: Path) -> str:
    silent = "answers no command; its log says why"
    return f"dewy with pid {found.pid} in {root} {_PHASES.get(found.phase, silent)}"


async def _connect(private: Path, name: str) -> tuple[StreamReader, StreamWriter]:
    try:
        with address(private, name) as place:
            return await asyncio.open_unix_connection(place, limit=LONGEST_ANSWER)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as exc:
        raise NotRunning from exc
    except PermissionError as exc:
        raise DewyError(
            f"the dewy in {private.parent} belongs to another user; say this as that"
            " user, by sudo -u"
        ) from exc


async def _exchange(
    reader: StreamReader,
    writer: StreamWriter,
    request: dict[str, object],
    progress: Progress | None,
) -> dict[str, Any]:
    writer.write(json.dumps(request).encode() + b"\n")
    await writer.drain()
    answer = json.loads(await reader.readline())
    while progress is not None and isinstance(answer, dict) and "step" in answer:
        progress(str(answer["step"]))
        answer = json.loads(await reader.readline())
    if not isinstance(answer, dict):
        raise DewyError("the program that listens there is not dewy")
    return answer
