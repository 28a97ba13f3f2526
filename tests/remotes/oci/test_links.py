from __future__ import annotations

import pytest

from dewy.remotes.oci.client import next_link


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('</v2/a/tags/list?last=b&n=1>; rel="next"', "/v2/a/tags/list?last=b&n=1"),
        ('<a>; rel=prev, <b?x=1,2>; rel="foo next"', "b?x=1,2"),
        (r'<a>; title="x, <c>; rel=\"next", <b> ;REL = "NEXT"', "b"),
        ('<a>; foo="bar;rel=next"', None),
        ("<a>; rel=last; rel=next", None),
        ("<a>;; rel=next;", "a"),
        ("<a>; rel", None),
        ("<a", None),
        ("", None),
    ],
)
def test_next_page_is_found(header: str, expected: str | None) -> None:
    """Among other links, with parameters of any form."""
    assert expected == next_link([header])


def test_next_link_is_found_across_multiple_headers() -> None:
    assert "b" == next_link(["<a>; rel=prev", "<b>; rel=next"])


@pytest.mark.parametrize("piece", ["; a", ";", " ;a = ", " ", '; a="', ",<a>"])
@pytest.mark.timeout(60)
def test_hostile_header_costs_no_more_than_its_length(piece: str) -> None:
    assert next_link(["<a>" + piece * 3000 + '"']) is None
