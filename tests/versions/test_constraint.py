from __future__ import annotations

import pytest

from dewy.errors import ConfigError
from dewy.versions.constraint import Constraint
from dewy.versions.version import parse_semver


def allowed(text: str, *names: str) -> list[str]:
    """Those of *names* that the constraint *text* allows."""
    constraint = Constraint.parse(text)
    versions = [parse_semver(name) for name in names]
    return [each.tag for each in versions if each and constraint.allows(each)]


@pytest.mark.parametrize(
    ("text", "within", "without"),
    [
        ("^1.2", "1.2.0 1.9.9 v1.2.3+blue", "1.1.9 2.0.0 1.2.0-rc.1 2.0.0-rc.1"),
        ("^1.2.3", "1.2.3 1.3.0-rc.1", "1.2.2 1.2.3-rc.1"),
        ("^1.2.3-rc.2", "1.2.3-rc.2 1.2.3 1.9.0", "1.2.3-rc.1 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0", "0.0.0 0.9.0", "1.0.0"),
        ("~1.4.2", "1.4.2 1.4.9", "1.5.0 1.4.1 1.5.0-rc.1"),
        ("~1.4", "1.4.0 1.4.9", "1.5.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">=1.2 <2", "1.2.0 1.9.9", "1.1.0 2.0.0 2.0.0-rc.1"),
        (">= 1.2, < 2", "1.2.0", "2.0.0"),
        (">=1.2,<2", "1.2.0", "2.0.0"),
        ("<2.0.0-rc.2", "2.0.0-rc.1 1.0.0", "2.0.0-rc.2 2.0.0"),
        (">1.2", "1.3.0", "1.2.9"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("1.x", "1.0.0 1.9.0", "2.0.0 0.9.0"),
        ("1.2.*", "1.2.9", "1.3.0"),
        ("1", "1.9.0", "2.0.0"),
        ("v1.2", "1.2.5", "1.3.0"),
        ("=1.2.3", "1.2.3 v1.2.3+blue", "1.2.4 1.2.3-rc.1 1.2.4-rc.1"),
        ("1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.2"),
        ("1.x || 3.x", "1.0.0 3.1.0", "2.0.0 4.0.0"),
        ("*", "0.0.1 9.9.9", ""),
    ],
)
def test_constraint_accepts_only_versions_in_range(
    text: str, within: str, without: str
) -> None:
    """Numbers left out are any; pre-releases lead to what is outside, too."""
    assert within.split() == allowed(text, *within.split(), *without.split())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "latest",
        "^",
        "1.2.3.4",
        "1.x.3",
        ">*",
        "1 ||",
        "|| 1",
        "1 | 2",
        "1.2-rc",
        ",1",
        "1.2.3+blue",
        "=>1",
        "^^1",
    ],
)
def test_invalid_constraint_is_rejected(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Constraint.parse(text)

    assert (
        f"constraint {text!r} is no range of versions; write for example"
        " ^1.2, ~1.4.2, 1.x, '>=1.2 <2' or '1.x || 3.x'"
    ) == str(caught.value)


def test_constraint_of_endless_length_is_rejected() -> None:
    with pytest.raises(
        ConfigError, match=r"^constraint is longer than 255 characters$"
    ):
        Constraint.parse("1" * 256)
    assert Constraint.parse("1" * 255)
