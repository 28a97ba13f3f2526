from __future__ import annotations

import pytest
from yarl import URL

from dewy.errors import ConfigError
from dewy.remotes.github.account import Anonymous, GitHubAccount, PersonalToken

TOKEN = {"GITHUB_TOKEN": "ghp_1"}


def at(api: str) -> GitHubAccount:
    """An account at *api*."""
    return GitHubAccount.from_environment({**TOKEN, "GITHUB_API_URL": api})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "https://api.github.com/"),
        ({"GITHUB_API_URL": ""}, "https://api.github.com/"),
        (
            {"GITHUB_ENDPOINT": "https://ghe.example/api/v3"},
            "https://ghe.example/api/v3/",
        ),
        (
            {
                "GITHUB_API_URL": "http://127.0.0.1:8080",
                "GITHUB_ENDPOINT": "https://ghe.example/api/v3",
            },
            "http://127.0.0.1:8080/",
        ),
    ],
)
def test_base_comes_from_the_environment(
    environ: dict[str, str], expected: str
) -> None:
    """`GITHUB_API_URL` before `GITHUB_ENDPOINT` before the public one."""
    assert expected == str(GitHubAccount.from_environment({**TOKEN, **environ}).api)


@pytest.mark.parametrize(
    "stated",
    [
        "ghe.example/api/v3",
        "ftp://ghe.example/",
        "https:///api",
        "https://[",
        "https://me:secret@ghe.example/",
        "https://ghe.example/?token=secret",
    ],
)
def test_base_that_is_none_is_refused(stated: str) -> None:
    """By name, and without repeating what may be a secret."""
    with pytest.raises(ConfigError, match="GITHUB_API_URL") as caught:
        at(stated)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GITHUB_TOKEN": "a"}, PersonalToken("a", "GITHUB_TOKEN")),
        ({"GH_TOKEN": "b", "GITHUB_TOKEN": "a"}, PersonalToken("b", "GH_TOKEN")),
        ({"GH_TOKEN": "", "GITHUB_TOKEN": "a"}, PersonalToken("a", "GITHUB_TOKEN")),
        ({"GH_TOKEN": " b\n"}, PersonalToken("b", "GH_TOKEN")),
    ],
)
def test_token_comes_from_the_environment(
    environ: dict[str, str], expected: PersonalToken
) -> None:
    """`GH_TOKEN` before `GITHUB_TOKEN`."""
    assert expected == GitHubAccount.from_environment(environ).credentials


def test_account_without_credentials_is_anonymous() -> None:
    """Public repositories do not want any."""
    assert Anonymous() == GitHubAccount.from_environment({}).credentials


@pytest.mark.parametrize("token", ["a b", "a\r\nX-Other: b", "pässword"])
def test_malformed_token_is_rejected_without_being_shown(token: str) -> None:
    """It would end in a header."""
    with pytest.raises(ConfigError, match="GH_TOKEN contains") as caught:
        GitHubAccount.from_environment({"GH_TOKEN": token})

    assert token not in str(caught.value)


def test_token_is_not_shown() -> None:
    """Values get into logs by their representation."""
    assert "ghp_1" not in repr(GitHubAccount.from_environment(TOKEN))


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        ("https://api.github.com/", "https://api.github.com/"),
        ("https://api.acme.ghe.com/", "https://api.acme.ghe.com/"),
        ("https://my.api.example/", "https://my.api.example/"),
        ("https://ghe.example/api/v3", "https://ghe.example/api/v3/"),
        ("https://ghe.example", "https://ghe.example/api/v3/"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/api/v3/"),
    ],
)
def test_app_tokens_of_enterprise_come_from_api_v3(api: str, expected: str) -> None:
    """Whether or not the base says so."""
    assert URL(expected) == at(api).app_api


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (
            "https://api.github.com/",
            ["https://api.github.com", "https://uploads.github.com"],
        ),
        (
            "https://api.acme.ghe.com/",
            ["https://api.acme.ghe.com", "https://uploads.acme.ghe.com"],
        ),
        ("https://ghe.example/api/v3/", ["https://ghe.example"]),
        ("http://127.0.0.1:8080/", ["http://127.0.0.1:8080"]),
    ],
)
def test_token_is_for_the_api_and_its_uploads(api: str, expected: list[str]) -> None:
    """An Enterprise token never goes to the public GitHub."""
    assert {URL(origin) for origin in expected} == at(api).origins
