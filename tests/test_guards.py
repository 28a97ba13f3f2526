"""The guards that every test stands under do bite."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from blockbuster import BlockingError

from dewy.files import write_atomically
from tests import needs


async def test_blocking_the_loop_in_dewy_raises(tmp_path: Path) -> None:
    """The same call is fine in a thread."""
    with pytest.raises(BlockingError):
        write_atomically(tmp_path / "file", b"")

    await asyncio.to_thread(write_atomically, tmp_path / "file", b"")


def test_developer_environment_does_not_reach_tests() -> None:
    """A token in the shell must not be sent to a stand-in, or to anyone."""
    assert set() == {"GH_TOKEN", "GITHUB_TOKEN", "NOTIFY_SOCKET"} & os.environ.keys()


@pytest.mark.parametrize("required", ["", "other"])
def test_missing_part_skips(required: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most machines lack something."""
    monkeypatch.setenv("DEWY_TEST_REQUIRE", required)

    with pytest.raises(pytest.skip.Exception, match="missing: part") as skip:
        needs.require("part", present=False)
    assert {"part"} == needs.told([f"test.py:3: {skip.value}", "slow"])


@pytest.mark.parametrize("required", ["all", "other, part"])
def test_missing_required_part_fails_test(
    required: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete run can't pass by leaving things out."""
    monkeypatch.setenv("DEWY_TEST_REQUIRE", required)

    with pytest.raises(pytest.fail.Exception, match="missing: part"):
        needs.require("part", present=False)
