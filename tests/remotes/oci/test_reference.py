from __future__ import annotations

import pytest

from dewy import urls
from dewy.config.resolve import with_calver
from dewy.errors import ConfigError
from dewy.remotes.oci.reference import Reference, is_digest, is_loopback, is_tag

DIGEST = "sha256:" + "0" * 64


def reference(url: str) -> Reference:
    return Reference.of(urls.split(url, "registry"))


@pytest.mark.parametrize(
    ("url", "expected", "origin"),
    [
        ("img://ghcr.io/acme/app", "ghcr.io/acme/app", "https://ghcr.io"),
        ("img://GHCR.io/acme/app/", "ghcr.io/acme/app", "https://ghcr.io"),
        ("img://127.0.0.1:5000/app", "127.0.0.1:5000/app", "http://127.0.0.1:5000"),
        ("img://127.1.2.3/app", "127.1.2.3/app", "http://127.1.2.3"),
        ("img://10.0.0.5:5000/a/b", "10.0.0.5:5000/a/b", "https://10.0.0.5:5000"),
        ("img://my_reg:5000/x", "my_reg:5000/x", "https://my_reg:5000"),
        ("img://[::1]:5000/app", "[::1]:5000/app", "http://[::1]:5000"),
        ("img://[fd00::5]/app", "[fd00::5]/app", "https://[fd00::5]"),
        ("img://localhost/app", "localhost/app", "http://localhost"),
        ("img://localhost:5000/app", "localhost:5000/app", "http://localhost:5000"),
        (
            "img://localhost.example/a",
            "localhost.example/a",
            "https://localhost.example",
        ),
    ],
)
def test_registry_and_repository_are_read(url: str, expected: str, origin: str) -> None:
    """Whatever the host looks like; by http only where it is this one."""
    found = reference(url)

    assert expected == str(found)
    assert origin == str(found.origin)
    assert f"{origin}/v2/{found.path}/tags/list" == str(found.api("tags/list"))


@pytest.mark.parametrize(
    "url",
    [
        "img://app",
        "img://library/app",
        "img://docker.io/app",
        "img://docker.io/library/app",
        "img://index.docker.io/app",
        "img://registry-1.docker.io/library/app",
    ],
)
def test_docker_hub_has_many_names(url: str) -> None:
    """One for engines and another for its API."""
    found = reference(url)

    assert "docker.io/library/app" == str(found)
    assert "https://registry-1.docker.io/v2/library/app/manifests/v1" == str(
        found.api("manifests/v1")
    )


def test_owner_at_docker_hub_is_no_host() -> None:
    assert "docker.io/acme/app" == str(reference("img://acme/app"))


@pytest.mark.parametrize(
    "url",
    ["img://127.0.0.1:5000/app", "img://my_reg:5000/x", "img://[::1]:5000/app"],
)
def test_odd_hosts_survive_the_configuration(url: str) -> None:
    """With `--calver` the URL is written anew."""
    again = with_calver(urls.canonical(f"{url}?channel=rc"), "YYYY.MM")

    assert f"{url}?calver=YYYY.MM&channel=rc" == again
    assert reference(url) == reference(again)


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("img://ghcr.io/acme/app:latest", "write img://ghcr.io/acme/app$"),
        (
            "img://ghcr.io/acme/app:v1.2",
            r"write img://ghcr.io/acme/app, or img://ghcr.io/acme/app\?constraint=1.2$",
        ),
        ("img://app:5", "write img://app, or"),
        ("img://app:v1", "without one$"),
        ("img://[::1]:5000/app:v1", r"write img://\[::1\]:5000/app, or"),
        (f"img://ghcr.io/acme/app@{DIGEST}", "write img://ghcr.io/acme/app$"),
    ],
)
def test_tag_or_digest_in_url_is_rejected_with_hint(url: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=instead):
        reference(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("img://ghcr.io", "write img://ghcr.io/REPOSITORY"),
        ("img://127.0.0.1:5000", "write img://127.0.0.1:5000/REPOSITORY"),
        ("img://[::1]:5000/", r"write img://\[::1\]:5000/REPOSITORY"),
        ("img://ghcr.io/Acme/app", "lower-case"),
        ("img://Acme/app", "lower-case"),
        ("img://ghcr.io/a//b", "names no repository"),
        ("img://ghcr.io/a%20b", "names no repository"),
        ("img://ghcr.io/../a", "names no repository"),
        (f"img://ghcr.io/{'a' * 255}", "names no repository"),
        ("img://-x.io/a", "names no host"),
        ("img://a..b/a", "names no host"),
        ("img://h.io:/a", "names no host"),
        ("img://[::1]x/a", "host"),
        ("img://[::zz]/a", "host"),
    ],
)
def test_invalid_image_url_is_rejected(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        reference(url)

    assert "\n" not in str(caught.value)


def test_credentials_in_the_url_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="docker login") as caught:
        reference("img://me:s3cret@ghcr.io/acme/app")

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "insecure", "plain"),
    [
        ("registry.lan:5000", True, True),
        ("registry.lan:5000", None, False),
        ("localhost:5000", None, True),
        ("localhost:5000", False, False),
    ],
)
def test_http_may_be_asked_for(host: str, insecure: bool | None, plain: bool) -> None:
    assert plain == Reference(host, "app", insecure).plain


def test_names_for_an_engine() -> None:
    """Docker Hub is called as an engine calls it."""
    app = reference("img://app")

    assert "docker.io/library/app:v1.2.3" == app.tagged("v1.2.3")
    assert f"docker.io/library/app@{DIGEST}" == app.pull_name(DIGEST)


@pytest.mark.parametrize("name", ["localhost", "app.localhost", "127.9.9.9", "[::1]"])
def test_this_host_has_many_names(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name", ["localhost.example", "128.0.0.1", "127.0.0.1.example"]
)
def test_loopback_lookalike_host_is_not_loopback(name: str) -> None:
    assert not is_loopback(name)


def test_tags_and_digests_have_their_forms() -> None:
    assert [True, False, False, False] == [*map(is_tag, ("v1.2-x", "a+b", "", "-a"))]
    assert [True, False, False] == [*map(is_digest, (DIGEST, DIGEST + "0", "latest"))]
