from __future__ import annotations

import pytest

from dewy.deploy.archive.formats import ENDINGS, UNSUPPORTED, Format, format_of
from dewy.errors import ArchiveError


@pytest.mark.parametrize(("ending", "expected"), ENDINGS.items())
def test_ending_decides_in_any_case(ending: str, expected: Format) -> None:
    assert expected is format_of(f"app-1.2.0{ending}")
    assert expected is format_of(f"APP{ending.upper()}")


@pytest.mark.parametrize("name", ["app", "app-linux-amd64", "app.exe", "tar", "a.jar"])
def test_anything_else_is_a_program(name: str) -> None:
    """The original could not deploy an artifact that is no archive."""
    assert Format.BARE is format_of(name)


@pytest.mark.parametrize("ending", UNSUPPORTED)
def test_unsupported_archive_is_no_program(ending: str) -> None:
    with pytest.raises(ArchiveError, match=r"^app.+\.tar\.zst.+\.zip$"):
        format_of(f"app{ending.upper()}")
