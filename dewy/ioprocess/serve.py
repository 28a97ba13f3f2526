"""
The helper process itself: calls what it is asked for, one call at a time.

    python -P -m dewy.ioprocess.serve PARENT DIRECTORY

Standard input is the socket to dewy. DIRECTORY only tells people in the list of
processes which helper hangs. It imports as little of dewy as its calls need.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Generator, Iterator
from typing import BinaryIO, cast

from .protocol import LENGTH, Call, Raised, Returned, Tell, encode, teller

PR_SET_PDEATHSIG = 1
SIGN_EVERY = 1.0


def main(parent: int) -> None:
    """Serve until dewy closes its end or dies."""
    _die_with(parent)
    with socket.socket(fileno=0) as channel:
        stream = cast("BinaryIO", channel.makefile("rwb"))
        teller.set(_signs_on(stream))
        while request := _read(stream):
            for message in _call(request):
                _write(stream, message)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _call(request: Call) -> Iterator[object]:
    """Yield the pieces of a result that comes in pieces, and how the call ended."""
    try:
        result = request.function(*request.args, **request.kwargs)
        if isinstance(result, Generator):
            result = yield from result
        yield Returned(result)
    except Exception as exc:  # noqa: BLE001 - whoever called decides
        yield Raised(exc)


def _read(stream: BinaryIO) -> Call | None:
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    body = stream.read(*LENGTH.unpack(header))
    return cast("Call", pickle.loads(body))


def _write(stream: BinaryIO, message: object) -> None:
    stream.write(encode(message))
    stream.flush()


def _signs_on(stream: BinaryIO) -> Tell:
    last = 0.0

    def tell() -> None:
        nonlocal last
        if time.monotonic() - last >= SIGN_EVERY:
            last = time.monotonic()
            _write(stream, None)

    return tell


if __name__ == "__main__":
    main(int(sys.argv[1]))
