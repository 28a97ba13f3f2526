"""Whatever the bytes are: a release in its directory, or one clear error."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dewy.deploy.archive import ArchiveLimits, UnpackRules, unpack
from dewy.errors import ArchiveError
from tests.standins.archives import (
    COMPRESSORS,
    entry,
    folder,
    hard,
    link,
    listing,
    saved,
    tar,
    zipped,
)

SOAK = bool(os.environ.get("DEWY_SOAK"))
EXECUTIONS = 100_000 if SOAK else 800
pytestmark = [pytest.mark.soak] if SOAK else []
RULES = UnpackRules(ArchiveLimits(entries=200, total=1_000_000))

PLAIN = tar(
    folder("lib"),
    entry("lib/a", b"content" * 30, mode=0o755),
    link("lib/b", "a"),
    hard("c", "lib/a"),
    entry("x" * 120, b"long", pax_headers={"mtime": "1.5"}),
)
CORPUS = [
    *((f"app{ending}", pack(PLAIN)) for ending, pack in COMPRESSORS.items()),
    ("app.zip", zipped(("a/b", b"text" * 50, 0o644), ("l", b"a/b", 0o120777))),
]
SURROUNDINGS = {"inside": None, "secret": b"kept"}


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A directory in memory where the machine has one: nothing here must last."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


def attempt(scratch: Path, name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        host = Path(directory)
        inside = host / "inside"
        inside.mkdir()
        saved(host, "secret", b"kept")
        problem = problem_with(saved(scratch, "artifact", data), name, inside)
        beside = {k: v for k, v in listing(host).items() if "inside/" not in k}

        assert SURROUNDINGS == beside
        assert "\n" not in problem
        assert not problem or name in problem
        assert problem or links_stay(inside)


def problem_with(artifact: Path, name: str, inside: Path) -> str:
    try:
        unpack(artifact, name, inside, RULES)
    except ArchiveError as exc:
        return str(exc)
    return ""


def links_stay(inside: Path) -> bool:
    links = [path for path in inside.rglob("*") if path.is_symlink()]
    return all(link.resolve().is_relative_to(inside.resolve()) for link in links)


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice((0, 0x2F, 0x2E, 0x30, 0x37, 0x80, 0xFF))
            case 2:
                size = chance.randrange(1, 40)
                changed[at : at + size] = b""
            case _:
                changed[at:at] = changed[: chance.randrange(1, 40)]
        if not changed:
            return b""
    return bytes(changed)


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("name", "data"), CORPUS, ids=[name for name, _ in CORPUS])
def test_damaged_archives_harm_nothing(scratch: Path, name: str, data: bytes) -> None:
    chance = random.Random(name)
    for _ in range(EXECUTIONS // len(CORPUS)):
        attempt(scratch, name, mutated(data, chance))


@pytest.mark.timeout(0)
def test_damaged_tar_with_sound_checksums_harms_nothing(scratch: Path) -> None:
    """Behind the checksum of each header, where the interesting fields are."""
    chance = random.Random(7)
    for _ in range(EXECUTIONS // 2):
        attempt(scratch, "app.tar", _resealed(mutated(PLAIN, chance)))


def _resealed(data: bytes) -> bytes:
    changed = bytearray(data)
    for at in range(0, len(changed) - 511, 512):
        if b"ustar" == changed[at + 257 : at + 262]:
            changed[at + 148 : at + 156] = b" " * 8
            changed[at + 148 : at + 155] = b"%06o\0" % sum(changed[at : at + 512])
    return bytes(changed)


NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), max_size=4).map("/".join)
ENTRIES = st.one_of(
    st.builds(entry, NAMES, st.binary(max_size=5)),
    st.builds(link, NAMES, st.one_of(NAMES, NAMES.map("/".__add__))),
    st.builds(hard, NAMES, NAMES),
    st.builds(folder, NAMES),
)


@pytest.mark.timeout(0)
@settings(
    max_examples=max(100, EXECUTIONS // 4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entries=st.lists(ENTRIES, min_size=1, max_size=12))
def test_no_choice_of_links_leads_outside(
    scratch: Path, entries: list[tuple[object, bytes]]
) -> None:
    """Few names and many links, so that they meet."""
    attempt(scratch, "app.tar", tar(*entries))


@pytest.mark.timeout(0)
@settings(
    max_examples=max(100, EXECUTIONS // 4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entries=st.lists(ENTRIES, min_size=1, max_size=12))
def test_no_choice_of_absolute_links_is_written_through(
    scratch: Path, entries: list[tuple[object, bytes]]
) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        outside, inside = Path(directory, "outside"), Path(directory, "inside")
        (outside / "a" / "b").mkdir(parents=True)
        inside.mkdir()
        saved(outside, "c", b"kept")
        for info, _ in entries:
            if info.linkname.startswith("/"):  # type: ignore[attr-defined]
                info.linkname = f"{outside}{info.linkname}"  # type: ignore[attr-defined]
        artifact = saved(scratch, "artifact", tar(*entries))
        with suppress(ArchiveError):
            unpack(artifact, "app.tar", inside, UnpackRules(absolute_links=True))

        assert {"a": None, "a/b": None, "c": b"kept"} == listing(outside)
