"""Files of variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.config.env_file import from_file
from dewy.errors import ConfigError

OURS = {"SET": "ours"}


def test_file_has_a_variable_a_line(tmp_path: Path) -> None:
    """Nothing is quoted or expanded; names alone are passed on where there is such."""
    path = tmp_path / "env"
    path.write_bytes(
        b'\xef\xbb\xbfA=b\r\n  # comment\n\n  B="c $A" \nC=\nSET\nUNSET\n\tD=e#f'
    )
    expected = [("A", "b"), ("B", '"c $A" '), ("C", ""), ("SET", "ours"), ("D", "e#f")]

    assert expected == list(from_file(path, "--env-file", OURS))


@pytest.mark.parametrize("line", ["=secret", "A B=secret", "A secret", "A=sec\0ret"])
def test_line_without_a_name_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    """The line itself may be a secret."""
    path = tmp_path / "env"
    path.write_text(f"A=b\n{line}\n")
    with pytest.raises(ConfigError, match="line 2 must be NAME=VALUE") as caught:
        list(from_file(path, "--env-file", OURS))

    assert "sec" not in str(caught.value).replace(str(tmp_path), "")


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """And so is one that is no text; what is in it is not."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        list(from_file(tmp_path / "none", "--env-file", OURS))
    path = tmp_path / "binary"
    path.write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="must be UTF-8"):
        list(from_file(path, "--env-file", OURS))
