"""One dewy per application and engine: two roots must not fight over containers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import DewyError, RootBusy
from .application import Application

__all__ = ["directory", "engine_lock"]

SYSTEM = Path("/run/dewy")


@contextmanager
def engine_lock(place: Path, address: str, application: Application) -> Iterator[None]:
    """
    Hold the lock of *application* on the engine at *address*, a file in *place*.

    Raises:
        RootBusy: a dewy in another root holds it.
        DewyError: it cannot be had at all.
    """
    key = f"{_one_name(address)} {application.name} {application.identity}"
    path = place / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as exc:
        raise DewyError(f"{path} cannot be locked: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
            raise RootBusy(
                f"the containers of {application.name} ({application.identity}) are"
                f" kept by the dewy in {holder or 'another root'}; "
                "give this application another --name"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{Path.cwd()}\n".encode(errors="replace"), 0)
        yield
    finally:
        os.close(descriptor)


def _one_name(address: str) -> str:
    """Of an engine that is known by several: /var/run leads to /run, say."""
    scheme, _, path = address.partition("://")
    return f"unix://{os.path.realpath(path)}" if scheme == "unix" else address


def directory(environ: Mapping[str, str], uid: int) -> Path:
    """Where the locks of user *uid* are, the same for all roots of theirs."""
    if uid == 0:
        return SYSTEM
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return Path(runtime, "dewy")
    return Path(tempfile.gettempdir(), f"dewy-{uid}")
