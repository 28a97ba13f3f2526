"""Asking a running dewy through its control socket."""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from ..errors import DewyError
from .address import SOCKET, address
from .control import Progress

__all__ = ["NotRunning", "ask"]

LONGEST_ANSWER = 16 * 1024 * 1024


class NotRunning(DewyError):
    """The root has no running dewy."""


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
    Return what the dewy of the root that *private* is in answers to *verb*.

    *through* is the name of the socket there, which is another for its proxy.

    *progress* is told each step meanwhile; leaving then cancels what was asked for.

    Raises:
        NotRunning: the root has no running dewy.
        DewyError: dewy refused, or did not answer within *patience* seconds.
    """
    try:
        async with asyncio.timeout(patience):
            reader, writer = await _connect(private, through)
            try:
                request = {"verb": verb, **args}
                if progress is not None:
                    request["stream"] = True
                answer = await _exchange(reader, writer, request, progress)
            finally:
                writer.close()
    except TimeoutError:
        raise DewyError(
            f"the dewy in {private.parent} did not answer within {patience:g} s"
        ) from None
    if not answer.get("ok"):
        raise DewyError(str(answer.get("error") or "dewy refused without a reason"))
    return answer


async def _connect(private: Path, name: str) -> tuple[StreamReader, StreamWriter]:
    try:
        with address(private, name) as place:
            return await asyncio.open_unix_connection(place, limit=LONGEST_ANSWER)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as exc:
        raise NotRunning(f"no dewy runs in {private.parent}") from exc
    except PermissionError as exc:
        raise DewyError(
            f"the dewy in {private.parent} belongs to another user"
        ) from exc


async def _exchange(
    reader: StreamReader,
    writer: StreamWriter,
    request: dict[str, object],
    progress: Progress | None,
) -> dict[str, Any]:
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
        while progress is not None and isinstance(answer, dict) and "step" in answer:
            progress(str(answer["step"]))
            answer = json.loads(await reader.readline())
    except (ConnectionError, ValueError) as exc:
        raise DewyError("dewy left before it answered") from exc
    if not isinstance(answer, dict):
        raise DewyError("what listens there is no dewy")
    return answer
