"""Publishing anything at all into a `file://` registry."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path


def put(registry: Path, version: str, files: Mapping[str, bytes]) -> None:
    """Publish *files* as they are, in one move and long settled."""
    draft = registry / f".{version}"
    draft.mkdir()
    for name, data in files.items():
        (draft / name).write_bytes(data)
        _settle(draft / name)
    draft.rename(registry / version)


def replace(registry: Path, version: str, data: bytes) -> None:
    """Publish another `app.tar.gz` under the same *version*."""
    draft = registry / ".draft"
    draft.write_bytes(data)
    _settle(draft)
    draft.rename(registry / version / "app.tar.gz")


def _settle(path: Path) -> None:
    settled = time.time() - 60
    os.utime(path, (settled, settled))
