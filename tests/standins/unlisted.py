"""A disk that does not tell, for a moment, what lies in `releases/`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def unlisted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no `releases/` be listed while in the block."""
    iterdir = Path.iterdir

    def fails(path: Path) -> Iterator[Path]:
        if path.name == "releases":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return iterdir(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", fails)
        yield
