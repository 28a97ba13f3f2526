from __future__ import annotations

from dewy.remotes.oci.credentials import Credentials


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("me", "s3cret", "t0ken", "config.json"))

    assert "s3cret" not in shown
    assert "t0ken" not in shown


def test_where_they_were_found_makes_no_difference() -> None:
    assert Credentials("me", "x", source="a") == Credentials("me", "x", source="b")


def test_only_a_name_or_a_token_is_somebodys() -> None:
    assert Credentials(failures=("store failed",)).anonymous
    assert not Credentials("me", "x").anonymous
    assert not Credentials(token="x").anonymous
