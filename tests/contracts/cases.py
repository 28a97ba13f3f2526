"""
Every implementation of every Protocol, as the contract suites drive it.

To have yours tested, write an asynchronous context manager that yields one of
the cases below, and add it to the table under its scheme.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from dewy.artifacts import ARTIFACTS, Artifacts
from dewy.caches import CACHES, Cache
from dewy.caches.file import FileCache
from dewy.errors import RemoteError
from dewy.notifiers import Notice, Notifier
from dewy.notifiers.memory import MemoryNotifier
from dewy.registries import REGISTRIES, Registry
from dewy.release import Release
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore
from dewy.versions import Platform, Selection

HERE = Platform("linux", "amd64")
ARTIFACT = "app_linux_amd64.tar.gz"

_moments = count(1_600_000_000)

P = ParamSpec("P")
T = TypeVar("T")
Make = Callable[[Path], AbstractAsyncContextManager[T]]
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class RegistryCase:
    """
    A registry, and the hands of those who publish in it.

    Attributes:
        open: The registry as seen with this query and by a host of this slot.

        publish: Publishes a version with these files; replaces it if it exists.

        break_down: From here on the registry cannot be asked.

        records: The audit names that were recorded with a version.

        tag: What a version is called there.

    Those in `IMAGES` have tags of an image: no files are chosen among, and the
    records are on this host. Those in `SINGLE` tell one release, which they have
    chosen themselves.
    """

    open: Callable[[str, str], Registry]
    publish: Callable[[str, Files], Awaitable[None]]
    break_down: Callable[[], Awaitable[None]]
    records: Callable[[str], Awaitable[list[str]]]
    tag: Callable[[str], str] = str


@dataclass(frozen=True)
class ArtifactsCase:
    """
    A store that holds one release.

    Attributes:
        store: What is under test.

        release: Its artifact has the bytes *content*.

        beside: Name and bytes of a small file published with it.

        break_down: From here on nothing is delivered whole.
    """

    store: Artifacts
    release: Release
    content: bytes
    beside: tuple[str, bytes]
    break_down: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class NotifierCase:
    """
    A notifier, and what reached the people it tells.

    Attributes:
        break_down: From here on its target is `down`, does `hang`, or answers
            that it is `busy` or had an `error`.

        mend: The target works again.

        secret: What must never be shown.

    Those in `LOCAL` have no target that could fail.
    """

    notifier: Notifier
    delivered: Callable[[], list[Notice]]
    break_down: Callable[[str], Awaitable[None]] | None = None
    mend: Callable[[], Awaitable[None]] | None = None
    secret: str = ""


def asynchronous(call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """What a case wants of a remote that is not asked over a wire."""

    async def answer(*args: P.args, **kwargs: P.kwargs) -> T:
        return call(*args, **kwargs)

    return answer


def publish_in(directory: Path, tag: str, files: Files) -> None:
    """Put a version into a `file://` registry, all of it settled long ago."""
    (directory / tag).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / tag / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        at = next(_moments)
        os.utime(path, (at, at))


def selection(slot: str) -> Selection:
    return Selection(slot=slot, platform=HERE)


@asynccontextmanager
async def file_registry(tmp_path: Path) -> AsyncIterator[RegistryCase]:
    root = tmp_path / "registry"
    root.mkdir()

    def break_down() -> None:
        root.rename(tmp_path / "gone")

    def records(tag: str) -> list[str]:
        return [path.name for path in root.glob(f"{tag}/shipped_*")]

    async with Clients() as clients:
        yield RegistryCase(
            open=lambda query, slot: REGISTRIES.open(
                f"{root.as_uri()}{query}", selection(slot), clients
            ),
            publish=asynchronous(partial(publish_in, root)),
            break_down=asynchronous(break_down),
            records=asynchronous(records),
        )


@asynccontextmanager
async def memory_registry(tmp_path: Path) -> AsyncIterator[RegistryCase]:
    store = MemoryStore.named(uuid.uuid4().hex)

    def break_down() -> None:
        store.fail("current", RemoteError("the wire was cut"))
        store.fail("report", RemoteError("the wire was cut"))

    def records(tag: str) -> list[str]:
        mine = [report for report in store.reports if report.release.tag == tag]
        return [report.audit_name for report in mine]

    async with Clients() as clients:
        yield RegistryCase(
            open=lambda query, slot: REGISTRIES.open(
                f"mem://{store.name}{query}", selection(slot), clients
            ),
            publish=asynchronous(store.publish),
            break_down=asynchronous(break_down),
            records=asynchronous(records),
        )


@asynccontextmanager
async def file_artifacts(tmp_path: Path) -> AsyncIterator[ArtifactsCase]:
    content, beside = os.urandom(3_000_000), ("SHA256SUMS", b"sums")
    publish_in(tmp_path / "store", "v1.0.0", {ARTIFACT: content, beside[0]: beside[1]})
    path = tmp_path / "store" / "v1.0.0" / ARTIFACT
    release = Release("v1.0.0", path.as_uri(), "one", size=len(content))
    async with Clients() as clients:
        yield ArtifactsCase(
            store=ARTIFACTS.open(release.artifact_url, clients),
            release=release,
            content=content,
            beside=beside,
            break_down=asynchronous(path.unlink),
        )


@asynccontextmanager
async def memory_artifacts(tmp_path: Path) -> AsyncIterator[ArtifactsCase]:
    store = MemoryStore.named(uuid.uuid4().hex)
    content, beside = os.urandom(3_000_000), ("SHA256SUMS", b"sums")
    store.publish("v1.0.0", {ARTIFACT: content, beside[0]: beside[1]})
    url = f"mem://{store.name}/v1.0.0/{ARTIFACT}"

    def break_down() -> None:
        store.fail("fetch", RemoteError("the wire was cut"))

    async with Clients() as clients:
        yield ArtifactsCase(
            store=ARTIFACTS.open(url, clients),
            release=Release("v1.0.0", url, "one", size=len(content)),
            content=content,
            beside=beside,
            break_down=asynchronous(break_down),
        )


@asynccontextmanager
async def file_cache(tmp_path: Path) -> AsyncIterator[Cache]:
    async with AsyncExitStack() as stack:
        cache = CACHES.open(f"{(tmp_path / 'cache').as_uri()}?max-size=1MB", tmp_path)
        stack.push_async_exit(cast("FileCache", cache))
        yield cache


@asynccontextmanager
async def memory_cache(tmp_path: Path) -> AsyncIterator[Cache]:
    yield CACHES.open(f"mem://{uuid.uuid4().hex}?max-size=1MB", tmp_path)


@asynccontextmanager
async def memory_notifier(tmp_path: Path) -> AsyncIterator[NotifierCase]:
    notifier = MemoryNotifier(urlsplit("mem://people"))
    yield NotifierCase(notifier, lambda: notifier.sent)


REGISTRY_CASES: dict[str, Make[RegistryCase]] = {
    "file": file_registry,
    "mem": memory_registry,
}
IMAGES: set[str] = set()
SINGLE: set[str] = set()
LOCAL = {"mem"}
ARTIFACTS_CASES: dict[str, Make[ArtifactsCase]] = {
    "file": file_artifacts,
    "mem": memory_artifacts,
}
CACHE_CASES: dict[str, Make[Cache]] = {"file": file_cache, "mem": memory_cache}
LIMITED = {"file", "mem"}
"""Those that evict what was not used for longest when they are full."""
NOTIFIER_CASES: dict[str, Make[NotifierCase]] = {"mem": memory_notifier}
