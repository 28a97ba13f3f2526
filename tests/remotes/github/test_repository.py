from __future__ import annotations

import pytest

from dewy.errors import ConfigError
from dewy.remotes.github import Repository


@pytest.mark.parametrize(
    ("owner", "name"), [("acme", "app"), ("Acme-Corp", "my_app.v2"), ("a_b", "-")]
)
def test_names_are_taken_as_written(owner: str, name: str) -> None:
    """Underscores and capitals among them."""
    assert f"{owner}/{name}" == str(Repository.named(owner, name))


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("", "app"),
        ("acme", ""),
        ("acme", "app/releases"),
        ("acme", ".."),
        ("acme", "app?x"),
        ("acme", "app\n"),
    ],
)
def test_invalid_owner_or_repository_name_is_rejected(owner: str, name: str) -> None:
    """Before it becomes part of a path."""
    with pytest.raises(ConfigError, match="ghr://OWNER/REPOSITORY"):
        Repository.named(owner, name)


def test_login_in_the_url_is_refused_and_not_shown() -> None:
    """The message says where a token belongs."""
    with pytest.raises(ConfigError, match="takes no login in the URL") as caught:
        Repository.named("me:s3cret@acme", "app")

    assert "GITHUB_TOKEN" in str(caught.value)
    assert "s3cret" not in str(caught.value)
