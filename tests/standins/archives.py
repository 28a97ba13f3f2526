"""Archives as publishers make them, and as attackers do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import zstandard

DOS_FILE = 0x20


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[object, bytes]:
    """One member of a tar archive; *fields* are attributes of TarInfo."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str, **fields: object) -> tuple[object, bytes]:
    """A symbolic link."""
    return entry(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hard(name: str, target: str) -> tuple[object, bytes]:
    """A hard link."""
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def folder(name: str, mode: int = 0o755) -> tuple[object, bytes]:
    """A directory."""
    return entry(name, type=tarfile.DIRTYPE, mode=mode)


def tar(*entries: tuple[object, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed tar archive of *entries*, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for info, content in entries:
            assert isinstance(info, tarfile.TarInfo)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(*entries: tuple[str, bytes, int], comment: bytes = b"") -> bytes:
    """A zip archive of (name, content, st_mode) in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, content, mode in entries:
            archive.writestr(zip_info(name, mode), content)
    return buffer.getvalue()


def zip_info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    """A deflated zip entry with *mode*; with 0, as systems without modes make it."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3 if mode else 0
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = mode << 16 or DOS_FILE
    return info


def zstd(data: bytes) -> bytes:
    """A zstd frame as `zstd` writes it from a pipe: a checksum, and no length."""
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return compressor.compress(data) + compressor.flush()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": zstd,
}


def saved(directory: Path, name: str, data: bytes) -> Path:
    """Write an artifact; its path."""
    path = directory / name
    path.write_bytes(data)
    return path


def listing(directory: Path) -> dict[str, object]:
    """What is in *directory*: bytes of files, targets of links, None of folders."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found
