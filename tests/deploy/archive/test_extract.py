from __future__ import annotations

import errno
import gzip
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from threading import Event

import pytest
import zstandard

from dewy.deploy.archive import unpack
from dewy.deploy.archive.extract import plain
from dewy.deploy.archive.tree import Tree
from dewy.errors import ArchiveError, DeploymentError
from tests.deploy.archive.conftest import Unpacked
from tests.standins.archives import entry, folder, hard, link, saved, tar, zipped

MIB = 1024 * 1024


def test_program_is_put_in_place(unpacked: Unpacked, release: Path) -> None:
    """An artifact that is no archive: the original could not deploy it."""
    assert {"app-linux": b"\x7fELF"} == unpacked(b"\x7fELF", "app-linux")
    assert 0o755 == stat.S_IMODE((release / "app-linux").stat().st_mode)


def test_program_is_a_copy(tmp_path: Path, release: Path) -> None:
    """What the application does to its file leaves the cached one alone."""
    source = saved(tmp_path, "cached", b"program")
    unpack(source, "app", release)

    assert not source.samefile(release / "app")


@pytest.mark.parametrize("name", ["..", "../app", ""])
def test_program_has_a_plain_name(unpacked: Unpacked, name: str) -> None:
    with pytest.raises(ArchiveError):
        unpacked(b"x", name)


def test_unsupported_archive_is_no_program(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="does not read"):
        unpacked(b"7z", "app.7z")


def test_truncated_archive_yields_single_line_error(unpacked: Unpacked) -> None:
    data = gzip.compress(tar(entry("x", os.urandom(1000))))[:-4]

    with pytest.raises(
        ArchiveError, match=r"^app\.tgz is broken.*marker.*$"
    ) as failure:
        unpacked(data, "app.tgz")
    assert "\n" not in str(failure.value)


def test_wrong_gzip_checksum_is_noticed(unpacked: Unpacked) -> None:
    """It comes after the last entry, where a reader of tar has long stopped."""
    data = bytearray(gzip.compress(tar(entry("x", b"1"))))
    data[-8] ^= 1

    with pytest.raises(ArchiveError, match="CRC"):
        unpacked(bytes(data), "app.tar.gz")


@pytest.mark.parametrize("name", ["app.zip", "app.tar.gz", "app.tar.bz2", "app.tar.xz"])
def test_other_format_than_the_name_says_is_refused(
    unpacked: Unpacked, name: str
) -> None:
    with pytest.raises(ArchiveError, match=f"^{name}"):
        unpacked(tar(entry("x")), name)


@pytest.mark.parametrize("name", ["app.tar", "app.zip"])
def test_names_no_file_can_have_are_refused(unpacked: Unpacked, name: str) -> None:
    long = "x" * 300
    data = tar(entry(long)) if name == "app.tar" else zipped((long, b"", 0))

    with pytest.raises(ArchiveError, match="cannot be made"):
        unpacked(data, name)


def test_nul_in_a_name_is_refused(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="null"):
        unpacked(tar(entry("x", pax_headers={"path": "a\0b"})))


def test_bomb_is_refused(unpacked: Unpacked) -> None:
    """Headers may lie; what comes out is counted."""
    start = gzip.compress(_header(4096 * MIB))
    body = gzip.compress(b"x" * MIB)

    with pytest.raises(ArchiveError, match="more than 200 times its own size"):
        unpacked(start + body * 70, "app.tar.gz")


def test_file_of_zeros_is_no_bomb(unpacked: Unpacked, release: Path) -> None:
    """A database makes such a file in advance; the limit of bytes is far away."""
    data = gzip.compress(_header(70 * MIB)) + gzip.compress(bytes(MIB)) * 70
    unpacked(data, "app.tar.gz")

    assert 70 * MIB == (release / "zeros").stat().st_size


def test_program_of_the_command_can_be_executed(
    unpacked: Unpacked, release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows has no permissions that a zip could hold."""
    caplog.set_level("INFO")
    files = {"bin/app": b"\x7fELF", "run.sh": b"#!/bin/sh", "app.toml": b"[app]"}
    data = zipped(*((name, content, 0) for name, content in files.items()))
    unpacked(data, "app.zip", program="bin/app")

    modes = [stat.S_IMODE((release / name).stat().st_mode) for name in files]
    assert [0o755, 0o644, 0o644] == modes
    assert ["Made program executable"] == [each.message for each in caplog.records]


@pytest.mark.parametrize(("mode", "told"), [(0, True), (0o100644, False)])
def test_archive_without_permissions_is_told(
    unpacked: Unpacked, caplog: pytest.LogCaptureFixture, mode: int, told: bool
) -> None:
    """Where no command says which file is the program."""
    caplog.set_level("INFO")
    unpacked(zipped(("bin/app", b"\x7fELF", mode)), "app.zip")

    assert told is ("Archive holds no permissions" in caplog.messages)


@pytest.mark.parametrize(
    ("program", "content"), [("app", b"[data]"), ("missing", b"#!"), ("../x", b"#!")]
)
def test_only_a_program_is_made_executable(
    unpacked: Unpacked, release: Path, program: str, content: bytes
) -> None:
    unpacked(tar(entry("app", content)), program=program)

    assert 0o644 == stat.S_IMODE((release / "app").stat().st_mode)


def test_program_behind_an_absolute_link_is_left_alone(
    unpacked: Unpacked, release: Path, tmp_path: Path
) -> None:
    target = saved(tmp_path, "target", b"#!/bin/sh")
    data = tar(link("app", str(target)))
    unpacked(data, program="app", absolute_links=True)

    assert not target.stat().st_mode & 0o111


def test_top_directory_is_left_out(unpacked: Unpacked) -> None:
    """`app_1.2.3_linux_amd64/app` would need another command for each version."""
    data = tar(
        folder("app_1.2.3"),
        entry("app_1.2.3/bin/app", b"1"),
        hard("app_1.2.3/alias", "app_1.2.3/bin/app"),
        link("app_1.2.3/link", "bin/app"),
        entry("README", b"left out, as by tar"),
    )

    expected = {"bin": None, "bin/app": b"1", "alias": b"1", "link": "-> bin/app"}
    assert expected == unpacked(data, strip=1)


def test_program_below_a_top_directory_is_refused_with_the_way_out(
    unpacked: Unpacked,
) -> None:
    data = tar(entry("app_1.2.3/bin/app", b"it"), entry("app_1.2.3/doc", b"text"))
    with pytest.raises(
        ArchiveError, match=r"has bin/app in its directory app_1\.2\.3; strip=1 in"
    ):
        unpacked(data, program="bin/app")

    assert unpacked(data, program="bin/app", strip=1)


def test_program_that_is_nowhere_is_left_to_the_start(unpacked: Unpacked) -> None:
    assert unpacked(tar(entry("lib/other", b"it")), program="app")


def test_release_without_anything_below_is_refused(unpacked: Unpacked) -> None:
    with pytest.raises(
        ArchiveError, match="nothing below the directories that strip=2"
    ):
        unpacked(tar(entry("app_1.2.3/app", b"1")), strip=2)


@pytest.mark.parametrize("name", ["../x/secret", "a/../../x"])
def test_strip_lets_nothing_climb(unpacked: Unpacked, name: str) -> None:
    with pytest.raises(ArchiveError, match="outside"):
        unpacked(tar(entry(name, b"gone")), strip=1)


def _header(size: int) -> bytes:
    info, _ = entry("zeros")
    info.size = size  # type: ignore[attr-defined]
    return info.tobuf()  # type: ignore[attr-defined, no-any-return]


def test_stop_ends_the_work(tmp_path: Path, release: Path) -> None:
    stop = Event()
    stop.set()
    source = saved(tmp_path, "artifact", tar(entry("x")))

    with pytest.raises(DeploymentError, match="interrupted"):
        unpack(source, "app.tar", release, stop=stop)


def test_missing_artifact_is_no_broken_archive(tmp_path: Path, release: Path) -> None:
    with pytest.raises(DeploymentError, match="missing") as failure:
        unpack(tmp_path / "missing", "app.tar", release)
    assert not isinstance(failure.value, ArchiveError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_says_so(
    unpacked: Unpacked, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Tree, "file", full)
    with pytest.raises(
        DeploymentError, match=r"no space left in .*releases"
    ) as failure:
        unpacked(tar(entry("x")))
    assert not isinstance(failure.value, ArchiveError)


FULL = """
import resource, signal, sys
from pathlib import Path
from dewy.deploy.archive import unpack
from dewy.errors import DeploymentError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    unpack(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
except DeploymentError as exc:
    print(exc)
"""


@pytest.mark.parametrize("name", ["app.tar", "app.zip", "app"])
def test_write_that_fails_halfway_says_so(
    tmp_path: Path, release: Path, name: str
) -> None:
    """The kernel refuses a write, as it does on a full disk."""
    content = os.urandom(500_000)
    packed = {"app.tar": tar(entry("x", content)), "app": content}
    data = packed.get(name) or zipped(("x", content, 0))
    source = saved(tmp_path, "artifact", data)
    command = [sys.executable, "-c", FULL, str(source), name, str(release)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("no space left in ")


MEMORY = """
import sys
from pathlib import Path
from dewy.deploy.archive import ArchiveLimits, UnpackRules, unpack

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

into = Path(sys.argv[3])
(into / "small").mkdir()
(into / "large").mkdir()
unpack(Path(sys.argv[1]), sys.argv[4], into / "small")
before = peak()
rules = UnpackRules(ArchiveLimits(ratio=0))
unpack(Path(sys.argv[2]), sys.argv[4], into / "large", rules)
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
@pytest.mark.parametrize("ending", ["", ".tar.gz", ".tar.zst", ".zip"])
def test_memory_does_not_follow_size(
    tmp_path: Path, release: Path, ending: str
) -> None:
    """The original held the whole artifact in memory."""
    small = _artifact(tmp_path / "small", ending, 1)
    large = _artifact(tmp_path / "large", ending, 300 if ending == ".tar.zst" else 60)
    name = f"app{ending}"
    command = [sys.executable, "-c", MEMORY, str(small), str(large), str(release), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert int(done.stdout) < 4 * 1024  # KiB


def _artifact(path: Path, ending: str, mebibytes: int) -> Path:
    """An artifact of *mebibytes* of zeros, made without unpacking them here."""
    if ending == "":
        with open(path, "wb") as file:
            file.truncate(mebibytes * MIB)
    elif ending == ".zip":
        _large_zip(path, mebibytes)
    else:
        compress = {".tar.gz": gzip.compress, ".tar.zst": _frame}[ending]
        ends = compress(_header(mebibytes * MIB)), compress(bytes(1024))
        path.write_bytes(ends[0] + compress(bytes(MIB)) * mebibytes + ends[1])
    return path


def _frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _large_zip(path: Path, mebibytes: int) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros", "w") as file,
    ):
        for _ in range(mebibytes):
            file.write(bytes(MIB))


@pytest.mark.parametrize("name", ["app.tar.gz", "app.tgz", "app.zip", "app.tar"])
def test_errors_of_readers_hold_no_python_bytes(unpacked: Unpacked, name: str) -> None:
    with pytest.raises(ArchiveError) as failure:
        unpacked(b"ga\xff'\"rbage" * 100, name)
    assert not re.search(r"""\bb['"]""", str(failure.value))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Not a gzipped file (b'ga')", "Not a gzipped file"),
        (
            "File name in directory 'a' and header b'b' differ.",
            "File name in directory 'a' and header differ.",
        ),
        ("bad magic: b'\\x00\\''", "bad magic"),
        ("CRC check failed", "CRC check failed"),
    ],
)
def test_plain_words_of_a_reader(said: str, expected: str) -> None:
    assert expected == plain(said)


def test_artifact_that_cannot_be_read_is_not_named_by_its_staging(
    tmp_path: Path, release: Path
) -> None:
    with pytest.raises(DeploymentError) as failure:
        unpack(tmp_path / "tmp123" / "app", "app", release)
    assert "tmp123" not in str(failure.value)
