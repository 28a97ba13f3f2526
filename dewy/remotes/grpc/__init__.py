"""
Registries that are asked by gRPC.

Importing this loads grpcio without what its C core would write to stderr by itself;
so nothing else loads it before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["initialise"]

SETTINGS = {
    # A refused handshake is ours to tell.
    "GRPC_VERBOSITY": "NONE",
    # A child that dewy forks becomes another program at once.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}


@contextmanager
def _environment() -> Iterator[None]:
    settings = {k: v for k, v in SETTINGS.items() if k not in os.environ}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            os.environ.pop(name, None)


# gRPC reads some settings as it is imported, the others as it is initialised.
with _environment():
    import grpc.aio


@cache
def initialise() -> None:
    """
    Initialise grpcio, which reads its settings from the environment then; to be
    called in a running loop. A second time does nothing.

    They are there for that moment only, since programs and hooks inherit ours;
    what the operator has set stands.
    """
    with _environment():
        grpc.aio.init_grpc_aio()
