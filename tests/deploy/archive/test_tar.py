from __future__ import annotations

import tarfile

import pytest

from dewy.deploy.archive import ArchiveLimits
from dewy.errors import ArchiveError
from tests.deploy.archive.conftest import Unpacked
from tests.standins.archives import COMPRESSORS, entry, folder, hard, link, tar

BLOCK = tarfile.BLOCKSIZE

EVERYTHING = (
    folder("./"),
    entry("bin/app", b"program", mode=0o755),
    link("current", "bin"),
    hard("bin/alias", "bin/app"),
    folder("data"),
)
EXPECTED = {
    "bin": None,
    "bin/alias": b"program",
    "bin/app": b"program",
    "current": "-> bin",
    "data": None,
}


@pytest.mark.parametrize("ending", COMPRESSORS)
def test_every_compression_unpacks(unpacked: Unpacked, ending: str) -> None:
    data = COMPRESSORS[ending](tar(*EVERYTHING))

    assert EXPECTED == unpacked(data, f"App{ending.upper()}")


@pytest.mark.parametrize(
    "format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_every_dialect_unpacks(unpacked: Unpacked, format: int) -> None:
    assert unpacked(tar(*EVERYTHING, format=format)) == EXPECTED


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_unpack(unpacked: Unpacked, format: int) -> None:
    long = "/".join(["ordner-für-alles"] * 20)
    data = tar(entry(f"{long}/x", b"1"), link("l", long), format=format)

    found = unpacked(data)
    assert (b"1", f"-> {long}") == (found[f"{long}/x"], found["l"])


def test_sparse_files_unpack(unpacked: Unpacked) -> None:
    """GNU's form 1.0, as `tar --sparse` writes it: a map, then what is no hole."""
    pattern = b"2\n0\n3\n1000\n2\n".ljust(BLOCK, b"\0") + b"abcde"
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "disk",
        "GNU.sparse.realsize": "2000",
    }
    data = tar(entry("GNUSparseFile.0/disk", pattern, pax_headers=headers))

    expected = b"abc" + bytes(997) + b"de" + bytes(998)
    assert {"disk": expected} == unpacked(data)


def test_holes_count(unpacked: Unpacked) -> None:
    """A few bytes of map can stand for a terabyte of zeros."""
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "disk",
        "GNU.sparse.realsize": str(1 << 40),
    }
    pattern = b"1\n0\n1\n".ljust(BLOCK, b"\0") + b"a"
    data = tar(entry("x", pattern, pax_headers=headers))

    with pytest.raises(ArchiveError, match="more than 5000000 bytes"):
        unpacked(data, limits=ArchiveLimits(total=5_000_000))


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (b"s", "unknown type"),
        (b"M", "another volume"),
    ],
)
def test_special_files_are_refused(unpacked: Unpacked, type: bytes, kind: str) -> None:
    """The original made empty files of them and went live with that."""
    with pytest.raises(ArchiveError, match=rf"^app\.tar: entry 'dev/x' is .*{kind}"):
        unpacked(tar(entry("dev/x", type=type)))


@pytest.mark.parametrize(
    "evil",
    [
        [entry("../secret", b"gone")],
        [entry("a/../../../secret", b"gone")],
        [link("x", "../.."), entry("x/secret", b"gone")],
        [link("x", "/"), entry("x/etc/owned", b"gone")],
        [hard("x", "../../secret"), entry("x", b"gone")],
        [hard("x", "/../../secret")],
        [link("a", "b/../../.."), link("b", "."), entry("a/secret", b"gone")],
        [link("b", "."), link("a", "b/../../.."), entry("a/secret", b"gone")],
    ],
)
def test_nothing_leads_outside(
    unpacked: Unpacked, evil: list[tuple[object, bytes]]
) -> None:
    with pytest.raises(ArchiveError, match="outside"):
        unpacked(tar(*evil))


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.74])
def test_cut_archive_is_noticed(unpacked: Unpacked, kept: float) -> None:
    data = tar(*(entry(f"file{n}", bytes([n]) * 700) for n in range(20)))

    with pytest.raises(ArchiveError):
        unpacked(data[: int(len(data) * kept)])


def test_archive_cut_between_entries_is_noticed(unpacked: Unpacked) -> None:
    """tarfile takes the end of the file for the end of the archive."""
    data = tar(entry("one", b"1"), entry("two", b"2"))

    with pytest.raises(ArchiveError, match="cut short"):
        unpacked(data[: 2 * BLOCK])


def test_damaged_header_is_noticed(unpacked: Unpacked) -> None:
    """tarfile takes a damaged header after the first for the end of the archive."""
    data = bytearray(tar(entry("one", b"1"), entry("two", b"2")))
    data[2 * BLOCK + 150] ^= 1

    with pytest.raises(ArchiveError, match="damaged header"):
        unpacked(bytes(data))


def test_more_after_the_end_mark_is_noticed(unpacked: Unpacked) -> None:
    """Two archives after each other: the second would be missing silently."""
    with pytest.raises(ArchiveError, match=r"goes on .* another archive"):
        unpacked(tar(entry("one")) + tar(entry("two")))


def test_remains_in_the_last_record_are_passed_over(unpacked: Unpacked) -> None:
    """Some tools write out their buffer as it is."""
    data = tar(entry("one", b"1"))[: 4 * BLOCK] + b"remains of a buffer"

    assert {"one": b"1"} == unpacked(data)


@pytest.mark.parametrize("ending", [e for e in COMPRESSORS if e != ".tar"])
def test_end_mark_may_be_missing_where_a_compressor_ended(
    unpacked: Unpacked, ending: str
) -> None:
    data = COMPRESSORS[ending](tar(entry("one", b"1"))[: 2 * BLOCK])

    assert {"one": b"1"} == unpacked(data, f"app{ending}")


def test_label_and_lists_of_gnu_tar_are_no_files(unpacked: Unpacked) -> None:
    """`tar -V` and `tar -g` write them."""
    data = tar(
        entry("backup 1", type=b"V"),
        entry("bin/", b"Yapp\0\0", type=b"D", mode=0o755),
        entry("bin/app", b"1"),
    )

    assert {"bin": None, "bin/app": b"1"} == unpacked(data)


def test_empty_archive_is_no_release(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="holds nothing"):
        unpacked(tar())


@pytest.mark.parametrize("data", [b"", b"\0", b"not a tar archive" * 100])
def test_garbage_is_no_release(unpacked: Unpacked, data: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"^app\.tar"):
        unpacked(data)


def test_endless_header_is_refused(unpacked: Unpacked) -> None:
    """tarfile reads extended headers into memory, however large they say they are."""
    data = tar(entry("x", pax_headers={"comment": "x" * 2_000_000}))

    with pytest.raises(ArchiveError, match="bytes of header"):
        unpacked(data)


def test_many_global_headers_are_refused(unpacked: Unpacked) -> None:
    """tarfile keeps them all, to the end of the archive."""
    parts = [
        tarfile.TarInfo.create_pax_global_header({f"key{n}": "x" * 500_000})
        + tar(entry(f"file{n}"))[:BLOCK]
        for n in range(4)
    ]

    with pytest.raises(ArchiveError, match="global headers"):
        unpacked(b"".join(parts) + bytes(2 * BLOCK))


@pytest.mark.timeout(20)
def test_header_of_digits_takes_no_time(unpacked: Unpacked) -> None:
    """Some tarfiles search such a header in quadratic time, holding up everyone."""
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    header.size = 1_000_000 // BLOCK * BLOCK
    data = header.tobuf(tarfile.USTAR_FORMAT) + b"1" * header.size

    with pytest.raises(ArchiveError, match="makes no sense"):
        unpacked(data + tar(entry("y")))


def test_headers_in_headers_end(unpacked: Unpacked) -> None:
    """Each extended header is read by a call within the call for the one before."""
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    data = header.tobuf(tarfile.USTAR_FORMAT) * 1500

    with pytest.raises(ArchiveError, match="broken"):
        unpacked(data + tar(entry("y")))


def test_entries_are_not_remembered(unpacked: Unpacked) -> None:
    """tarfile would keep an object of each, which is memory that follows size."""
    with pytest.raises(ArchiveError, match="more than 10 entries"):
        unpacked(
            tar(*(entry(f"f{n}") for n in range(20))), limits=ArchiveLimits(entries=10)
        )


@pytest.mark.parametrize(
    ("name", "type"), [("label", b"V"), ("lists/", b"D"), ("left-out", tarfile.REGTYPE)]
)
def test_content_that_is_passed_over_counts(
    unpacked: Unpacked, name: str, type: bytes
) -> None:
    """It takes time to decompress."""
    with pytest.raises(ArchiveError, match="more than 1000 bytes"):
        unpacked(
            tar(entry(name, b"x" * 2000, type=type)),
            strip=1,
            limits=ArchiveLimits(total=1000),
        )
