from __future__ import annotations

import pytest

from dewy.remotes.oci.tokens import Challenge, challenges, preferred


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"',
            [("bearer", {"realm": "https://a/t", "service": "s"})],
        ),
        ("bearer realm=https://a/t", [("bearer", {"realm": "https://a/t"})]),
        (
            'Basic realm="x", Bearer realm="y"',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})],
        ),
        ("Basic, Negotiate", [("basic", {}), ("negotiate", {})]),
        (
            r'Negotiate abc==, BASIC realm="a \"b\", c"',
            [("negotiate", {}), ("basic", {"realm": 'a "b", c'})],
        ),
        (
            'Bearer realm = "q" , Digest a=b',
            [("bearer", {"realm": "q"}), ("digest", {})],
        ),
        ('Bearer REALM="a" service="s"', [("bearer", {"realm": "a", "service": "s"})]),
        ('Bearer realm="a", realm="b"', [("bearer", {"realm": "a"})]),
        (" ,, Basic", [("basic", {})]),
        ('Bearer realm="unclosed', [("bearer", {})]),
        ("", []),
        ("=?", []),
    ],
)
def test_challenges_are_read(
    header: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    """Commas within quotes, several in one header, and any case."""
    found = challenges([header])

    assert [scheme for scheme, _ in expected] == [each.scheme for each in found]
    for (_, wanted), each in zip(expected, found, strict=True):
        assert wanted == {name: each.parameters.get(name) for name in wanted}


def test_scope_with_commas_stays_whole() -> None:
    header = 'Bearer realm="r",scope="repository:a:pull,push"'

    assert "repository:a:pull,push" == challenges([header])[0].parameters["scope"]


def test_challenges_of_multiple_headers_are_merged() -> None:
    found = challenges(["Basic", "Bearer realm=r"])

    assert ["basic", "bearer"] == [each.scheme for each in found]


def test_token_is_preferred_where_its_realm_is_named() -> None:
    basic, bearer = Challenge("basic"), Challenge("bearer", {"realm": "r"})

    assert preferred([basic, bearer]) is bearer
    assert preferred([Challenge("bearer"), basic]) is basic
    assert preferred([Challenge("negotiate")]) is None


@pytest.mark.parametrize("piece", ["a=", "a ", "\\", 'a="', ", ", "a=b c"])
@pytest.mark.timeout(60)
def test_hostile_header_costs_no_more_than_its_length(piece: str) -> None:
    assert challenges(["Bearer " + piece * 3000 + '"'])
