from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from dewy.ioprocess import brief
from dewy.remotes.oci.credentials import Credentials
from dewy.remotes.oci.login import credentials_for, from_environment
from tests.needs import needs
from tests.standins.fuse import hung, hung_threads

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DOCKER = {"DOCKER_USERNAME": "me", "DOCKER_PASSWORD": "mine"}
ALL = {"GITHUB_TOKEN": "gh", "AWS_ECR_PASSWORD": "ecr", "GCR_TOKEN": "gcr"}


class Host:
    """A machine with logins and programs of its own."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.programs = directory / "bin"
        self.programs.mkdir(parents=True)
        self.environ = {
            "HOME": str(self.home),
            "PATH": f"{self.programs}:/usr/bin:/bin",
        }

    def config(self, path: str = ".docker/config.json", **fields: object) -> Path:
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(fields))
        return file

    def program(self, name: str, script: str) -> None:
        path = self.programs / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    async def find(self, host: str, **environ: str) -> Credentials | None:
        return await credentials_for(host, {**self.environ, **environ})


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def packed(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def answering(name: str, secret: str) -> str:
    return f"""echo '{{"Username": "{name}", "Secret": "{secret}"}}'"""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ghcr.io", ("token", "gh")),
        (ECR, ("AWS", "ecr")),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", ("AWS", "ecr")),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", ("AWS", "ecr")),
        ("gcr.io", ("_json_key", "gcr")),
        ("eu.gcr.io", ("_json_key", "gcr")),
        ("europe-docker.pkg.dev", ("_json_key", "gcr")),
        # Whoever can have a name has one that looks like those.
        ("evilghcr.io", None),
        ("ghcr.io.evil.example", None),
        ("x.ghcr.io", None),
        (f"{ECR}.evil.example", None),
        ("ecr.amazonaws.com", None),
        ("evilgcr.io", None),
        ("gcr.io.evil.example", None),
        ("a.b.gcr.io", None),
        ("x-docker.pkg.dev.evil.example", None),
        ("docker.io", None),
    ],
)
def test_tokens_go_to_the_hosts_they_are_for(
    host: str, expected: tuple[str, str] | None
) -> None:
    found = from_environment(host, ALL)

    assert expected == (found and (found.username, found.password))


def test_name_and_password_come_before_tokens() -> None:
    """They are for the one registry that dewy was told to use."""
    found = from_environment("ghcr.io", {**ALL, **DOCKER})

    assert Credentials("me", "mine") == found


@pytest.mark.parametrize("half", ["DOCKER_USERNAME", "DOCKER_PASSWORD"])
def test_half_a_pair_is_none(half: str) -> None:
    found = from_environment("ghcr.io", {**ALL, half: DOCKER[half]})

    assert Credentials("token", "gh") == found
    assert from_environment("a.io", {half: "x"}) is None


async def test_environment_comes_before_logins(host: Host) -> None:
    host.config(auths={"ghcr.io": packed("file:x")})

    assert Credentials("token", "gh") == await host.find("ghcr.io", GITHUB_TOKEN="gh")
    assert Credentials("file", "x") == await host.find("ghcr.io")


async def test_nothing_is_known(host: Host) -> None:
    assert await host.find("ghcr.io") is None
    assert await host.find(ECR) is None


async def test_first_file_that_knows_the_host_counts(host: Host) -> None:
    host.config(auths={"a.io": packed("docker:x")})
    podman = host.config(
        "auth.json", auths={h: packed("podman:x") for h in ("a.io", "b.io")}
    )

    found = [
        await host.find(name, REGISTRY_AUTH_FILE=str(podman))
        for name in ("a.io", "b.io")
    ]

    assert [Credentials("docker", "x"), Credentials("podman", "x")] == found


async def test_program_for_the_host_is_asked(host: Host) -> None:
    host.program("vault", answering("held", "x"))
    host.config(credHelpers={"a.io": "vault"})

    assert Credentials("held", "x") == await host.find("a.io")
    assert await host.find("b.io") is None


async def test_store_comes_before_the_file(host: Host) -> None:
    host.program("store", answering("held", "x"))
    host.config(credsStore="store", auths={"a.io": packed("file:x")})

    assert Credentials("held", "x") == await host.find("a.io")


async def test_file_serves_where_the_store_holds_nothing(host: Host) -> None:
    host.program("store", "echo credentials not found; exit 1")
    host.config(credsStore="store", auths={"a.io": packed("file:x")})

    assert Credentials("file", "x") == await host.find("a.io")


async def test_missing_store_is_logged_only_if_login_is_stored_there(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """A config.json that came from elsewhere does not hinder public images."""
    host.config(credsStore="desktop", auths={"a.io": {}, "c.io": packed("file:x")})
    found = [await host.find(name) for name in ("b.io", "c.io", "a.io")]

    assert [True, False, True] == [
        each is not None and each.anonymous for each in found
    ]
    assert Credentials("file", "x") == found[1]
    assert ["Credential helper failed"] == [each.message for each in caplog.records]
    assert all("docker-credential-desktop" in failures(each) for each in found)


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nonsense", "echo Cannot autolaunch D-Bus; exit 1"]
)
async def test_failing_store_is_a_warning(
    host: Host, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    """It stopped every poll of a public image, as docker does not."""
    host.program("store", script)
    host.config(credsStore="store", auths={"a.io": packed("file:x")})
    found = [await host.find(name) for name in ("a.io", "b.io", "b.io")]

    assert [Credentials("file", "x"), Credentials(), Credentials()] == found
    assert all("docker-credential-store" in failures(each) for each in found)
    # Once for each host; nothing of the program's own words.
    assert ["Credential helper failed"] * 2 == [each.message for each in caplog.records]
    assert "D-Bus" not in caplog.text


async def test_helper_failure_is_logged_again_after_recovery(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.config(credsStore="store")
    for script in ("exit 1", answering("held", "x"), "exit 1"):
        host.program("store", script)
        await host.find("a.io")

    assert 2 == len(caplog.records)


async def test_failing_helper_of_the_host_is_a_warning(host: Host) -> None:
    host.program("vault", "exit 1")
    host.config(credHelpers={"a.io": "vault"}, auths={"a.io": packed("file:x")})

    assert Credentials("file", "x") == await host.find("a.io")


@pytest.mark.parametrize(
    "fields",
    [
        {"credHelpers": {"a.io": "vault"}},
        {"auths": {"a.io": {"auth": "s3cret!"}}},
        {"auths": {"a.io": {}}, "credsStore": "vault"},
    ],
)
async def test_entries_for_the_host_end_the_search(
    host: Host, fields: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """Another file's login may be another user's."""
    host.program("vault", "echo credentials not found; exit 1")
    host.config(**fields)
    podman = host.config("auth.json", auths={"a.io": packed("podman:x")})
    found = await host.find("a.io", REGISTRY_AUTH_FILE=str(podman))

    assert found is None or found.anonymous
    assert "s3cret" not in caplog.text


async def test_empty_entry_without_a_store_ends_nothing(host: Host) -> None:
    host.config(auths={"a.io": {}})
    podman = host.config("auth.json", auths={"a.io": packed("podman:x")})

    assert Credentials("podman", "x") == await host.find(
        "a.io", REGISTRY_AUTH_FILE=str(podman)
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": [1]}'])
async def test_broken_file_is_a_warning(
    host: Host, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    host.config().write_text(content)
    podman = host.config("auth.json", auths={"a.io": packed("podman:x")})
    found = await host.find("a.io", REGISTRY_AUTH_FILE=str(podman))

    assert Credentials("podman", "x") == found
    assert ["Logins not read"] == [each.message for each in caplog.records]


def failures(found: Credentials | None) -> str:
    return "; ".join(found.failures) if found else ""


@pytest.mark.parametrize(
    ("name", "program"),
    [
        (ECR, "ecr-login"),
        ("europe-docker.pkg.dev", "gcloud"),
        ("europe-docker.pkg.dev", "gcr"),
        ("gcr.io", "gcr"),
    ],
)
async def test_installed_cloud_helper_is_used_for_its_registry(
    host: Host, name: str, program: str
) -> None:
    """Without a word of configuration; and for no other registry."""
    host.program(program, answering("AWS", "fresh"))

    assert Credentials("AWS", "fresh") == await host.find(name)
    assert await host.find("a.io") is None


async def test_helper_of_a_cloud_may_fail(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody set it up; what it held is not to be read in the log."""
    host.program("gcloud", "echo s3cret; exit 1")
    host.program("gcr", answering("me", "x"))

    assert Credentials("me", "x") == await host.find("gcr.io")
    assert ["Credential helper failed"] == [each.message for each in caplog.records]
    assert "s3cret" not in str([vars(each) for each in caplog.records])


async def test_environment_of_the_process_is_the_default(
    monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    for name, value in {**host.environ, **DOCKER}.items():
        monkeypatch.setenv(name, value)

    assert Credentials("me", "mine") == await credentials_for("a.io")


@needs("fuse")
async def test_hung_directory_of_programs_keeps_no_thread(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief, "PATIENCE", 2.0)
    host.config(credsStore="store")
    with hung(host.programs):
        async with asyncio.timeout(30):
            found = await host.find("ghcr.io", PATH=f"/usr/bin:{host.programs}")
        assert "not read within 2 s" in failures(found)
        assert [] == hung_threads()


@needs("fuse")
async def test_hung_home_is_told_and_keeps_no_thread(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials of the environment are found, for they come first."""
    monkeypatch.setattr(brief, "PATIENCE", 2.0)
    host.config(auths={"ghcr.io": packed("me:mine")})
    with hung(host.home):
        found = await host.find("ghcr.io")
        assert found is not None
        assert found.anonymous
        assert "config.json: not read within 2 s" in failures(found)
        assert await host.find("ghcr.io", GITHUB_TOKEN="gh")
        assert [] == hung_threads()
    async with asyncio.timeout(30):
        while not (found := await host.find("ghcr.io")) or found.anonymous:
            pass
    assert "mine" == found.password
