"""Reading semantic versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.versions.version import parse_semver

SUFFIX = st.from_regex(r"[0-9A-Za-z.-]{1,8}", fullmatch=True)
NAMES = st.builds(
    lambda v, numbers, pre, slot: v + ".".join(numbers) + pre + slot,
    st.sampled_from(["", "v"]),
    st.lists(st.from_regex(r"[0-9]{1,4}", fullmatch=True), min_size=3, max_size=3),
    st.one_of(st.just(""), SUFFIX.map("-{}".format)),
    st.one_of(st.just(""), SUFFIX.map("+{}".format)),
)


@pytest.mark.parametrize(
    ("name", "numbers", "pre_release", "slot"),
    [
        ("1.2.3", (1, 2, 3), "", ""),
        ("v1.2.3", (1, 2, 3), "", ""),
        ("v1.2.3-rc.1", (1, 2, 3), "rc.1", ""),
        ("v1.2.3+blue", (1, 2, 3), "", "blue"),
        ("v1.2.3-rc.1+blue.2", (1, 2, 3), "rc.1", "blue.2"),
        ("v1.2.3--5", (1, 2, 3), "-5", ""),
        ("v1.2.3+a-b", (1, 2, 3), "", "a-b"),
    ],
)
def test_reads_a_version(
    name: str, numbers: tuple[int, ...], pre_release: str, slot: str
) -> None:
    version = parse_semver(name)

    assert version is not None
    assert (name, name) == (version.tag, version.text)
    assert (numbers, pre_release, slot) == (
        version.numbers,
        version.pre_release,
        version.slot,
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        "latest",
        "v1",
        "v1.2",
        "1.2.3.4",
        "V1.2.3",
        "vv1.2.3",
        "v1.2.3\n",
        "\nv1.2.3",
        " v1.2.3",
        "v1.2.3-",
        "v1.2.3+",
        "v1.2.3-rc_1",
        "v1.2.3+a+b",
        "v1.-2.3",
        "v1.2.٣",
        "v1.2.²",
        "v1.2.3-β",
        "app-v1.2.3",
        "v1.2." + "3" * 5000,
    ],
)
def test_invalid_semantic_version_is_rejected(name: str) -> None:
    assert parse_semver(name) is None


def test_renders_without_leading_zeros_and_keeps_the_tag() -> None:
    version = parse_semver("v01.002.0-rc.01+blue")

    assert version is not None
    assert "v1.2.0-rc.01+blue" == version.text
    assert "v01.002.0-rc.01+blue" == version.tag


@given(NAMES)
def test_rendered_version_parses_to_equal_version(name: str) -> None:
    version = parse_semver(name)
    assert version is not None

    again = parse_semver(version.text)

    assert again is not None
    assert version.text == again.text
    assert (version.key, version.slot) == (again.key, again.slot)
