"""The ways from cause to effect stay short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOPS = Path(__file__).parent.parent / "dev" / "hops"


def test_ways_of_a_release_and_a_rollback_are_short() -> None:
    """A reader goes through so many functions, and no more."""
    command = [sys.executable, str(HOPS)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True)
    found = {name: int(n) for name, n in map(str.split, printed.stdout.splitlines())}

    assert {"release", "rollback"} == found.keys()
    assert 20 < found["release"] <= 40
    assert 8 < found["rollback"] <= 14
