"""Files of this machine as a remote: what a `file://` URL names, what a file is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote_to_bytes

from ..errors import ConfigError, RemoteError


def path(url: SplitResult) -> Path:
    """
    What *url* names.

    `file:///srv/app` is absolute, and `file://dist/app` relative: what other
    schemes call the host is its first segment.

    Raises:
        ConfigError: it names nothing.
    """
    named = os.fsdecode(unquote_to_bytes(url.netloc + url.path))
    if url.fragment or not named or "\0" in named:
        raise ConfigError(
            f"{url.scheme}:// must name a path (write %23 for '#', %3F for '?')"
        )
    return Path(named)


def identity(stat: os.stat_result) -> str:
    """
    What tells one content of a file from another without reading it.

    The inode is part of it because a file that is replaced by another of the
    same size may keep its time.
    """
    return f"file:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an OSError into the RemoteError that says *what* could not be done."""
    try:
        yield
    except OSError as exc:
        raise RemoteError(f"could not {what}: {exc.strerror or exc}") from exc
