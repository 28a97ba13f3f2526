"""No secret is in what the command line answers to URLs that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Dewy

CLOSED = "127.0.0.1:1"

REGISTRIES = [
    "nonsense://me:s3cr3t@h/x",
    "grpc://me:s3cr3t@h:notaport",
    f"grpc://me:s3cr3t@{CLOSED}?no-tls=true",
    "img://me:s3cr3t@h/x:latest",
    f"img://me:s3cr3t@{CLOSED}/x",
    "ghr://s3cr3t@owner",
    "ghr://owner/name?token=s3cr3t",
    "s3://eu/bucket?secret-key=s3cr3t",
    "s3://eu/bucket?endpoint=nonsense://me:s3cr3t@h",
    "gs://bucket?credentials=s3cr3t",
    "file://me:s3cr3t@/nowhere?x=y",
]
CACHES = [
    "nonsense://:s3cr3t@h",
    f"redis://me:s3cr3t@{CLOSED}/notanumber",
    "redis://me:s3cr3t@h:notaport",
    "consul://h/x?tokken=s3cr3t",
    "s3://eu/bucket?secret-key=s3cr3t",
    "file:///x?password=s3cr3t",
]
NOTIFIERS = [
    "nonsense://me:s3cr3t@h",
    "http://?secret=s3cr3t",
    "https://hooks.slack.com:x/services/T/B/s3cr3t",
    "mail://me:s3cr3t@h",
    "mail://h/a@b.test?password=s3cr3t&username=me",
    "smtp://h/a@b.test?from=c@d.test&passwort=s3cr3t",
    "slack://x?token=s3cr3t",
]


@pytest.mark.parametrize("registry", REGISTRIES)
def test_registry(dewy: Dewy, monkeypatch: pytest.MonkeyPatch, registry: str) -> None:
    monkeypatch.setenv("GITHUB_API_URL", f"http://{CLOSED}/")
    monkeypatch.setenv("GITHUB_TOKEN", "s3cr3t-of-env")
    for command in (("check",), ("check", "--json"), ("why", "v1")):
        ended = dewy(*command, "--registry", registry, "--log-level", "debug")

        assert "s3cr3t" not in ended.out + ended.err, command
        assert ended.out + ended.err


@pytest.mark.parametrize(
    ("option", "url"),
    [
        *(("--cache", url) for url in CACHES),
        *(("--notifier", url) for url in NOTIFIERS),
    ],
)
def test_invalid_cache_or_notifier_url_is_shown_without_secret(
    dewy: Dewy, root: Path, option: str, url: str
) -> None:
    registry = ("--registry", f"file://{root}", "--admin-port", "0")
    ended = dewy("assets", "--once", *registry, option, url, "--log-level", "debug")

    assert "s3cr3t" not in ended.out + ended.err
    assert ended.status
    assert ended.err
