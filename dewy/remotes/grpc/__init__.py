"""
Registries over gRPC.

Import this package before grpcio: it keeps the C core from writing to stderr.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["initialise"]

SETTINGS = {
    # The C core would log failed handshakes, which dewy reports itself.
    "GRPC_VERBOSITY": "NONE",
    # Children of dewy call exec at once, so grpcio need not prepare for forks.
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
    Initialise grpcio with `SETTINGS`, in a running event loop. Idempotent.

    They are in the environment only meanwhile, for programs and hooks inherit it.
    Variables that the operator set stay as they are.
    """
    with _environment():
        grpc.aio.init_grpc_aio()
