from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes.oci.credentials import (
    LARGEST,
    Credentials,
    Logins,
    load_logins,
    login_files,
)


def parse(**fields: object) -> Logins:
    return Logins.parse(json.dumps(fields).encode(), "config.json")


def packed(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def test_login_of_docker_is_read() -> None:
    logins = parse(auths={"ghcr.io": packed("me:s3c:ret")})

    assert Credentials("me", "s3c:ret") == logins.credentials("ghcr.io")
    assert logins.credentials("quay.io") is None


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://registry.lan:5000", "registry.lan:5000"),
        ("http://registry.lan:5000/v2/", "registry.lan:5000"),
        ("GHCR.io/", "ghcr.io"),
    ],
)
def test_hosts_are_written_in_many_ways(key: str, host: str) -> None:
    logins = parse(auths={key: packed("me:x")})

    assert Credentials("me", "x") == logins.credentials(host)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_breaks_in_a_login_are_passed_over(end: str) -> None:
    """As by Go's decoder: `base64` writes lines of 76 characters."""
    pair = "me:" + "s3cret" * 20
    entry = {"auth": base64.encodebytes(pair.encode()).decode().replace("\n", end)}

    assert Credentials("me", "s3cret" * 20) == parse(auths={"a.io": entry}).credentials(
        "a.io"
    )


def test_login_for_namespace_does_not_apply_to_whole_host() -> None:
    """Podman can hold one for each organisation."""
    assert parse(auths={"quay.io/acme": packed("me:x")}).credentials("quay.io") is None


def test_identity_token_comes_before_a_password() -> None:
    entry = {**packed("me:x"), "identitytoken": "t0ken"}

    assert Credentials(token="t0ken") == parse(auths={"a.io": entry}).credentials(
        "a.io"
    )


def test_name_and_password_may_stand_apart() -> None:
    entry = {"username": "me", "password": "x"}

    assert Credentials("me", "x") == parse(auths={"a.io": entry}).credentials("a.io")


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, None, packed("me:"), packed(":x")])
def test_empty_login_is_none(entry: object) -> None:
    """`docker login` leaves one where a program holds the password."""
    assert parse(auths={"a.io": entry}).credentials("a.io") is None


def test_programs_are_told_by_host_before_the_store() -> None:
    logins = parse(
        credsStore="desktop",
        credHelpers={"https://gcr.io": "gcloud"},
        auths={"a.io": {}},
    )

    assert ["gcloud", "desktop"] == [logins.program("gcr.io"), logins.program("b.io")]
    assert [True, True, False] == [*map(logins.names, ("gcr.io", "a.io", "b.io"))]
    assert [True, True, False] == [*map(logins.settles, ("gcr.io", "a.io", "b.io"))]
    assert not parse(auths={"a.io": {}}).settles("a.io")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{",
        b'{"auths": [1]}',
        b'{"auths": {"a.io": "x"}}',
        b'{"credsStore": "../evil"}',
        b'{"credHelpers": {"a.io": 7}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_malformed_config_file_is_rejected(document: bytes) -> None:
    with pytest.raises(RemoteError, match=r"config\.json does not hold logins"):
        Logins.parse(document, "config.json")


@pytest.mark.parametrize("auth", ["s3cret!", base64.b64encode(b"s3cret").decode()])
def test_garbled_login_is_said_and_not_shown(auth: str) -> None:
    """Neither base64 nor, in it, a name and a password with a colon between them."""
    logins = parse(auths={"a.io": {"auth": auth}})

    with pytest.raises(RemoteError, match=r"login for a\.io is garbled") as caught:
        logins.credentials("a.io")

    for secret in ("s3cret", auth):
        assert secret not in str(caught.value)
        assert secret not in repr(logins)


def test_places_come_in_their_order() -> None:
    home = {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}
    named = {"DOCKER_CONFIG": "/d", "REGISTRY_AUTH_FILE": "/a.json"}

    assert ["/h/.docker/config.json", "/run/user/7/containers/auth.json"] == [
        *map(str, login_files(home))
    ]
    assert ["/d/config.json", "/a.json"] == [*map(str, login_files({**home, **named}))]
    assert [] == [*login_files({})]


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert load_logins(tmp_path / "config.json") is None
    (tmp_path / "file").touch()
    assert load_logins(tmp_path / "file" / "config.json") is None


def test_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="could not read"):
        load_logins(tmp_path)


def test_file_may_not_be_endless(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * (LARGEST + 1))

    with pytest.raises(RemoteError, match="exceeds"):
        load_logins(path)
