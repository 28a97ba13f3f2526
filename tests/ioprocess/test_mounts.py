"""Mounts that may hang, as the kernel lists them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

import pytest

from dewy.ioprocess.brief import leads_away, may_hang, read
from tests.needs import needs
from tests.standins.fuse import hung

TABLE = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:40 / /nas rw,relatime shared:2 - nfs4 nas:/nas rw
23 21 0:41 / /srv/two\\040words rw - fuse.sshfs away rw
24 22 8:2 / /nas/local rw,relatime - xfs /dev/sdb1 rw
25 21 0:4 / /proc rw - proc proc rw
"""


def away(path: str, links: Mapping[str, str] | None = None) -> bool:
    targets = links or {}
    return leads_away(PurePath(path), read(TABLE), lambda at: targets.get(str(at)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/.netrc", False),
        ("/nas", True),
        ("/nas/dewy/.netrc", True),
        # On the way there, /nas is touched.
        ("/nas/local/.netrc", True),
        ("/nasty/.netrc", False),
        ("/srv/two words/x", True),
        ("/srv/two", False),
        ("/proc/1/environ", True),
    ],
)
def test_mount_of_a_server_or_a_program_may_hang(path: str, expected: bool) -> None:
    assert expected == away(path)


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ({"/var/.aws": "/nas/dewy/.aws"}, True),
        ({"/var/.aws": "../nas/.aws"}, True),
        ({"/var/.aws": "elsewhere"}, False),
        ({"/var": "/nas"}, True),
        ({"/var/.aws": ".aws"}, False),
    ],
)
def test_links_are_followed(links: Mapping[str, str], expected: bool) -> None:
    """Without an end, too."""
    assert expected == away("/var/.aws/config", links)


def test_unknown_type_may_hang() -> None:
    assert leads_away(PurePath("/x"), read("1 0 0:1 / / rw - newfs x rw"), str) is True


@needs("fuse")
def test_directory_that_hangs_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    os.symlink(tmp_path / "mount", tmp_path / "link")

    with hung(tmp_path / "mount"):
        assert may_hang(tmp_path / "link" / "file")
