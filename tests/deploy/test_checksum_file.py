from __future__ import annotations

import hashlib
import re
import subprocess
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.deploy.checksum import NotUnderstood, parse
from dewy.errors import ChecksumError

HASH = hashlib.sha256(b"program").hexdigest()
LONG = hashlib.sha512(b"program").hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()
FILE = "app_linux.tgz"
SUM = {"sha256": HASH}

SPACES = " " * 67
TABLE = f"""
Algorithm       Hash{SPACES}Path
---------       ----{SPACES}----
SHA256          {OTHER.upper()}       C:\\dist\\other.tgz
SHA256          {HASH.upper()}       C:\\dist\\{FILE}


"""
LIST = f"""

Algorithm : SHA256
Hash      : {HASH.upper()}
Path      : C:\\dist\\{FILE}



"""
CSV = f'''"Algorithm","Hash","Path"
"SHA256","{HASH.upper()}","C:\\dist\\{FILE}"
'''
CERTUTIL = f"""SHA256 hash of {FILE}:
{HASH}
CertUtil: -hashfile command completed successfully.
"""


@pytest.mark.parametrize(
    "text",
    [
        f"{HASH}  {FILE}\n",
        f"{HASH} *{FILE}\n",
        f"{HASH.upper()}  {FILE}",
        f"{HASH}\t{FILE}\n",
        f"{HASH}  ./{FILE}\n",
        f"{HASH}  dist/linux/{FILE}\n",
        f"{HASH}  dist\\{FILE}\r\n",
        f"\\{HASH}  dist\\\\linux\\n/{FILE}\n",
        f"\\SHA256 (a\\\\b/{FILE}) = {HASH}\n",
        f"sha256:{HASH}  {FILE}\n",
        f"{FILE}  {HASH}\n",
        f"{FILE}: sha256:{HASH}\n",
        f"SHA256 ({FILE}) = {HASH}\n",
        f"SHA2-256({FILE})= {HASH}\n",
        f"# made by hand\n\n{OTHER}  x{FILE}\n{OTHER}  {FILE}.asc\n{HASH}  {FILE}\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{HASH}  {FILE}\n",
        f"{HASH}  {FILE}\n{HASH}  {FILE}\n",
        f"{OTHER}  old/{FILE}\n{HASH}  {FILE}\n",
        TABLE,
        LIST,
        CSV,
        CERTUTIL,
    ],
)
def test_entry_is_found(text: str) -> None:
    assert parse(text.encode(), FILE, "SHA256SUMS") == SUM
    assert parse(text.replace("\n", "\r\n").encode(), FILE, "SHA256SUMS") == SUM


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("text", [f"{HASH}  {FILE}\r\n", TABLE])
def test_encoding_is_recognised(encoding: str, text: str) -> None:
    """`>` of PowerShell writes UTF-16."""
    assert parse(text.encode(encoding), FILE, "SHA256SUMS") == SUM


def test_mark_of_utf16_big_endian_is_recognised() -> None:
    content = b"\xfe\xff" + f"{HASH}  {FILE}\n".encode("utf-16-be")

    assert parse(content, FILE, "SHA256SUMS") == SUM


@pytest.mark.parametrize("name", [r"back\slash.tgz", "new\nline.tgz", "return\r.tgz"])
@pytest.mark.parametrize("options", [[], ["--tag"]])
def test_names_that_sha256sum_escapes_are_found(
    tmp_path: Path, name: str, options: list[str]
) -> None:
    (tmp_path / name).write_bytes(b"program")
    command = ["sha256sum", *options, name]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)

    assert parse(made.stdout, name, "SHA256SUMS") == SUM


@pytest.mark.parametrize(
    "text",
    [
        HASH,
        f"sha256:{HASH}",
        f"{HASH}\n",
        f"{HASH}  -\n",
        f"  {HASH} \r\n",
        f"{HASH}  build/out\n",
    ],
)
def test_only_sum_counts_in_the_artifacts_own_file(text: str) -> None:
    assert parse(text.encode(), FILE, f"{FILE}.sha256") == SUM


@pytest.mark.parametrize("text", [HASH, f"{HASH}  -\n"])
def test_sum_without_a_name_is_nothing_in_a_shared_file(text: str) -> None:
    with pytest.raises(NotUnderstood, match="SHA256SUMS has no line"):
        parse(text.encode(), FILE, "SHA256SUMS")


def test_path_that_powershell_cut_off_names_nothing() -> None:
    text = TABLE.replace(FILE, "app_l...").replace("other.tgz", "oth…")

    with pytest.raises(NotUnderstood):
        parse(text.encode(), FILE, "SHA256SUMS")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "see our web site",
        f"{HASH[:-1]}  {FILE}\n",
        f"{HASH}0  {FILE}\n",
        f"MD5 ({FILE}) = {HASH[:32]}\n",
        f"BLAKE2b ({FILE}) = {LONG}\n",
        f"SHA3-256({FILE})= {HASH}\n",
        f"# {HASH}  {FILE}\n",
        f"{HASH}  {FILE}\n".encode("utf-16").decode("utf-8", "replace"),
    ],
)
@pytest.mark.parametrize("source", ["SHA256SUMS", f"{FILE}.sha256"])
def test_file_without_any_entry_is_not_understood(text: str, source: str) -> None:
    with pytest.raises(NotUnderstood, match=f"^{source} has no line that dewy"):
        parse(text.encode(), FILE, source)


def test_entries_of_other_files_are_none() -> None:
    assert {} == parse(f"{OTHER}  other.tgz\n".encode(), FILE, "SHA256SUMS")


@pytest.mark.parametrize(
    "line",
    [
        f"{HASH[:-1]}  {FILE}",
        f"{HASH[:32]} *{FILE}",
        f"{LONG[:96]}  dist/{FILE}",
        f"SHA1 ({FILE}) = {HASH[:40]}",
        f"{FILE.upper()}: none",
        f"SHA256          {HASH.upper()}       C:\\dist\\app_l...",
    ],
)
def test_line_for_the_artifact_that_is_not_understood_is_not_passed_over(
    line: str,
) -> None:
    text = f"{OTHER}  other.tgz\n{line}\n"

    with pytest.raises(NotUnderstood, match=rf"^SHA256SUMS has no line for {FILE} "):
        parse(text.encode(), FILE, "SHA256SUMS")


@pytest.mark.parametrize(
    "line", [f"# {FILE} is built by hand", f"{HASH[:32]}  {FILE}.asc", f"x{FILE}"]
)
def test_lines_about_other_files_that_are_not_understood_are_nothing(line: str) -> None:
    assert {} == parse(f"{OTHER}  other.tgz\n{line}\n".encode(), FILE, "SHA256SUMS")


def test_sums_of_several_kinds_are_found() -> None:
    text = f"SHA256 ({FILE}) = {HASH}\nSHA512 ({FILE}) = {LONG}\n"

    assert parse(text.encode(), FILE, "checksums.txt") == {**SUM, "sha512": LONG}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"{HASH}  linux/{FILE}\n{OTHER}  darwin/{FILE}\n", "SHA256SUMS"),
        (f"{HASH}  a\n{OTHER}  b\n", f"{FILE}.sha256"),
    ],
)
def test_contradiction_is_an_error(text: str, source: str) -> None:
    with pytest.raises(ChecksumError, match=rf"^{source} gives app_linux\.tgz more"):
        parse(text.encode(), FILE, source)


@given(content=st.binary())
def test_no_content_is_too_strange(content: bytes) -> None:
    try:
        assert parse(content, FILE, f"{FILE}.sha256")
        assert re.search(rb"[0-9a-fA-F]", content)
    except NotUnderstood:
        pass


@pytest.mark.timeout(20)
def test_long_lines_take_no_time() -> None:
    """A megabyte is allowed, and may be meant to hold dewy up."""
    starts = ("", f"Hash: {HASH}\nPath: a", f"{HASH}  a", "SHA256 hash of a:")
    parts = ("a", " ", "\n", ":", ")", "SHA256 (", f"{HASH} ", "Hash :\n")
    for start, part in product(starts, parts):
        text = f"{start}{part * (200_000 // len(part))}b"
        with suppress(NotUnderstood, ChecksumError):
            parse(text.encode(), FILE, "SHA256SUMS")
