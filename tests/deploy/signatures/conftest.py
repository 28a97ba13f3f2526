from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.signatures.signing import CONTENT, GnuPG
from tests.needs import require

Making = Callable[..., GnuPG]


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "app.tar.gz"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def gnupg(tmp_path: Path) -> Iterator[Making]:
    """Makes key pairs of gpg; its agents end with the test."""
    for each in ("gpg", "gpgv"):
        require(each)
    made: list[GnuPG] = []

    def make(*words: str, **how: str) -> GnuPG:
        made.append(GnuPG(tmp_path / f"gnupg{len(made)}", *words, **how))
        return made[-1]

    yield make
    for each in made:
        each.close()
