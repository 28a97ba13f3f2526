"""Reading URLs: strictly, and without ever showing a secret."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy import urls
from dewy.errors import ConfigError

SECRET = "hunter2"


@pytest.mark.parametrize("url", ["", "slack", "ghr:o/r", "://x", "/srv/app"])
def test_text_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"registry .* is not of the form"):
        urls.split(url, "registry")


def test_url_that_ends_with_its_scheme_is_refused() -> None:
    """It has the form that others lack."""
    with pytest.raises(ConfigError, match=r"^registry 'ghr://' names nothing after"):
        urls.split("ghr://", "registry")


def test_url_without_a_valid_scheme_is_refused() -> None:
    with pytest.raises(ConfigError, match="scheme"):
        urls.split("a b://host")


@pytest.mark.parametrize(
    "url",
    [
        "img://127.0.0.1:5000/app",
        "grpc://[::1]:9000",
        "img://my_registry:5000/app",
        "file:///srv/app",
    ],
)
def test_hosts_as_people_write_them_are_accepted(url: str) -> None:
    """Addresses, ports and underscores are no reason to refuse a registry."""
    assert url == urls.split(url).geturl()


@pytest.mark.parametrize(
    "url",
    [
        f"https://host:{SECRET}/",
        f"https://user:{SECRET}/x@host/",
        f"https://user:x{SECRET}?@host/",
        f"user:{SECRET}@host/path",
        f"https://user:{SECRET}@host:port/",
    ],
)
def test_url_that_is_refused_is_shown_without_its_secret(url: str) -> None:
    """What went wrong with a URL is often that a password was not quoted."""
    with pytest.raises(ConfigError) as caught:
        urls.split(url)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://[::1/", "https://host:99999/"])
def test_url_without_a_valid_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="valid host"):
        urls.split(url)


OPTIONS = {"pre-release": "false", "artifact": ""}


def test_options_are_laid_over_the_defaults() -> None:
    parts = urlsplit("ghr://o/r?ARTIFACT=a+b%2Fc")

    assert {"pre-release": "false", "artifact": "a b/c"} == urls.options(parts, OPTIONS)


def test_last_of_a_repeated_option_counts() -> None:
    parts = urlsplit("ghr://o/r?artifact=a&artifact=b")

    assert "b" == urls.options(parts, OPTIONS)["artifact"]


def test_empty_value_leaves_the_default() -> None:
    parts = urlsplit("ghr://o/r?pre-release=&artifact")

    assert OPTIONS == urls.options(parts, OPTIONS)


@pytest.mark.parametrize(
    ("query", "hint"),
    [("prerelease=true", "did you mean pre-release"), ("x=1", "known: pre-release")],
)
def test_unknown_option_is_refused_with_a_hint(query: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        urls.options(urlsplit(f"ghr://o/r?{query}"), OPTIONS)


@pytest.mark.parametrize("word", ["1", "t", "T", "TRUE", "true", "True", "on", "yes"])
def test_words_for_yes(word: str) -> None:
    assert urls.boolean("x", word)


@pytest.mark.parametrize(
    "word", ["0", "f", "F", "FALSE", "false", "False", "off", "no"]
)
def test_words_for_no(word: str) -> None:
    assert not urls.boolean("x", word)


def test_other_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="x='maybe'"):
        urls.boolean("x", "maybe")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1048576", 1 << 20),
        ("7B", 7),
        ("64k", 64 << 10),
        ("64M", 64 << 20),
        ("500MB", 500_000_000),
        ("2GiB", 2 << 30),
        ("1tib", 1 << 40),
    ],
)
def test_size_is_in_bytes(text: str, expected: int) -> None:
    assert expected == urls.size("max-size", text)


@pytest.mark.parametrize("text", ["", "0", "0GiB", "-1", "1.5G", "G", "1X", "1e9", "²"])
def test_invalid_size_is_rejected(text: str) -> None:
    with pytest.raises(ConfigError, match="max-size"):
        urls.size("max-size", text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ghr://o/r", "ghr://o/r"),
        ("ghr://o/r?b=2&a=1&b=1", "ghr://o/r?a=1&b=2&b=1"),
        ("ghr://o/r?a=x y~&a-b=%C3%A4", "ghr://o/r?a=x+y~&a-b=%C3%A4"),
        ("ghr://o/r?a", "ghr://o/r?a="),
    ],
)
def test_canonical_form_is_the_originals(url: str, expected: str) -> None:
    """Hosts of both kinds that share a cache must agree on its keys."""
    assert expected == urls.canonical(url)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="?")),
    st.text(st.characters(codec="utf-8")),
)
def test_canonical_form_is_final(head: str, query: str) -> None:
    once = urls.canonical(f"{head}?{query}")

    assert once == urls.canonical(once)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:hunter2@host/x", "https://***@host/x"),
        ("https://ghp_xxx@host/x", "https://***@host/x"),
        ("https://hunter2@host", "https://***@host"),
        ("https://user:hun@ter2@host/", "https://***@host/"),
        ("https://user:hun/ter2@host/x", "https://***@host/x"),
        ("https://user:hun?ter2@host/x", "https://***@host/x"),
        ("https://user:#hunter2@host/x", "https://***@host/x"),
        ("https://u:hunter2@[::1]:9000/", "https://***@[::1]:9000/"),
        ("user:hunter2@host", "***@host"),
        ("https://host:hunter2/x", "https://host:***/x"),
        ("slack://ops?Token=hunter2&quiet=1", "slack://ops?Token=***&quiet=1"),
        ("mail://h/me@x.org?password=hunter2", "mail://h/me@x.org?password=***"),
        ("https://h/?to%6ben=hunter2", "https://h/?to%6ben=***"),
        ("https://h/?a=1;token=hunter2", "https://h/?a=1;token=***"),
        ("https://h/?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2",
         "https://h/?X-Amz-Credential=***&X-Amz-Signature=***"),
        ("https://h/?sv=1&sig=hunter2", "https://h/?sv=1&sig=***"),
        ("https://h/x#access_token=hunter2", "https://h/x#access_token=***"),
        ("s3://r/b?endpoint=https://k:hunter2@h:9000",
         "s3://r/b?endpoint=https://***@h:9000"),
        ("s3://r/b?endpoint=https%3A%2F%2Fk%3Ahunter2%40h",
         "s3://r/b?endpoint=https://***@h"),
        ("https://h/ghp_hunter2/x", "https://h/***/x"),
        ("https://h/?x=github_pat_hunter2", "https://h/?x=***"),
        ("https://hooks.slack.com/services/T0/B0/hunter2",
         "https://hooks.slack.com/services/***"),
    ],
)  # fmt: skip
def test_secret_in_url_is_redacted(url: str, expected: str) -> None:
    assert expected == urls.redact(url)


@pytest.mark.parametrize(
    "url",
    [
        "ghr://linyows/dewy?artifact=dewy_linux_amd64.tar.gz&pre-release=true",
        "file:///srv/releases",
        "file://relative/directory?max-size=2GiB",
        "img://127.0.0.1:5000/app",
        "grpc://[::1]:9000?no-tls=true",
        "mail://host:587/me@example.org?from=you",
        "https://host/@scope/package.tgz",
        "https://host:8080/designs/sig/keyboard",
        "ghr:owner/repo",
        "",
    ],
)
def test_url_without_secret_is_unchanged(url: str) -> None:
    assert url == urls.redact(url)


@given(
    st.text(min_size=1).map(lambda text: quote(text, safe="")),
    st.sampled_from(
        [
            "https://user:{}@host/path?x=1",
            "https://{}@host/path",
            "slack://channel?token={}",
            "s3://r/b?endpoint=https://u:{}@h",
            "mail://host/me@example.org?password={}&quiet=true",
        ]
    ),
)
def test_no_quoted_secret_is_ever_shown(secret: str, form: str) -> None:
    marked = f"zq{secret}qz"

    assert marked not in urls.redact(form.format(marked))


def test_tag_of_an_image_is_told_from_a_port() -> None:
    with pytest.raises(ConfigError, match="without one"):
        urls.split("img://app:v1", "registry")


def test_secrets_in_text_are_redacted() -> None:
    """Tokens by their form, and what stands before the host of a URL."""
    text = "GET https://u:p@h/x?y <redis://:pw@h> ghp_0123456789 mail a@b.test"

    assert "GET https://***@h/x?y <redis://***@h> *** mail a@b.test" == urls.strike(
        text
    )


def test_parameters_of_urls_in_a_text_are_struck_out() -> None:
    """By their names; whatever else stands there is kept."""
    text = "GET https://h/x?v=1&access_token=abc&to=me, 'http://h/?Api-Key=x' (a?b=c)"

    assert (
        "GET https://h/x?v=1&access_token=***&to=me, 'http://h/?Api-Key=***' (a?b=c)"
        == urls.strike(text.replace("access_token=abc&", "access_token=a,b&"))
    )
