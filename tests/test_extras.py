"""Messages that tell how to install what an extra needs."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata
from importlib.metadata import PackageNotFoundError

import pytest

from dewy.errors import install_hint


def test_hint_installs_the_dependencies_into_this_environment() -> None:
    words = shlex.split(install_hint("grpc"))

    assert [sys.executable, "-m", "pip", "install"] == words[:4]
    assert ["grpcio", "protobuf"] == [re.split("[<>]", each)[0] for each in words[4:]]


@pytest.mark.parametrize("extra", ["fast", "container", "s3", "telemetry", "mail"])
def test_hint_never_installs_dewy_by_its_name(extra: str) -> None:
    """On the public index the name belongs to another project."""
    _, *wanted = shlex.split(install_hint(extra))

    assert [] == [word for word in wanted if word.startswith("dewy")]


def test_hint_names_the_extra_where_metadata_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def requires(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)

    assert "install dewy from its wheel or checkout with the extra 's3'" == (
        install_hint("s3")
    )
