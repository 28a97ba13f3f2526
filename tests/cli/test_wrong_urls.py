"""What is wrong with a URL is told in one line: at the start, and by `check`."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from dewy.urls import redact
from tests.cli.conftest import Dewy, Ended

S3, GS = "s3://eu-central-1/releases", "gs://releases"

REGISTRIES = [
    ("s3://releases/app", "releases is no region of AWS"),
    ("s3://eu-central-1", "names no bucket"),
    (f"{S3}?artefact=x", "did you mean artifact"),
    (f"{S3}?endpoint=minio:9000", "is not of the form scheme://"),
    (f"{S3}?endpoint=https://me:s3cret@minio", "set AWS_ACCESS_KEY_ID"),
    ("gs://RELEASES", "names no bucket"),
    (f"{GS}?chanel=rc", "did you mean channel"),
    ("grpc://registry/path", "is not of the form grpc://HOST[:PORT]"),
    ("grpc://me:s3cret@registry", "is not of the form grpc://HOST[:PORT]"),
    ("grpc://registry?ca=none.pem", "none.pem"),
    ("grpc://registry?ca=junk.pem", "holds no certificates in PEM form"),
    ("grpc://registry?notls=true", "did you mean no-tls"),
]
CACHES = [
    ("s3://releases/app", "releases is no region of AWS"),
    (f"{S3}?max-artefact=1MB", "did you mean max-artifact"),
    ("gs://RELEASES", "names no bucket"),
    (f"{GS}?registry-ttl=-1s", "must be non-negative"),
    ("redis://me:s3cret@cache/db", "a number after its host"),
    ("redis://me:s3cret@cache?prefx=a", "did you mean prefix"),
    ("rediss://me:s3cret@cache?ca=junk.pem", "certificates in PEM form"),
    ("rediss://cache?ca=none.pem", "must be a file that can be read"),
    ("consul://s3cret@agent/app", "CONSUL_HTTP_TOKEN"),
    ("consul://agent/app?ca=junk.pem", "certificates in PEM form"),
    ("consul://agent/app?max-artifact=lots", "must be a size"),
    ("file:///tmp/cache?max-sice=1GB", "did you mean max-size"),
    ("mem://?max-size=lots", "must be a size"),
]
CREDENTIALS = [
    (S3, {"AWS_PROFILE": "nobody"}, "nobody"),
    (GS, {"GOOGLE_APPLICATION_CREDENTIALS": "none.json"}, "names no file with the key"),
]


@pytest.fixture(autouse=True)
def _junk(dewy: Dewy) -> None:
    with open("junk.pem", "w") as file:
        file.write("no certificate")


def refuses(ended: Ended, url: str, advice: str) -> None:
    """One line, with the place and what would be right; it cannot go on so."""
    assert 2 == ended.status, ended
    assert "" == ended.out
    [line] = ended.err.splitlines()
    assert redact(url.partition("?")[0]) in line
    assert advice in line
    assert "s3cret" not in line


@pytest.mark.parametrize("command", ["assets", "check"])
@pytest.mark.parametrize(("url", "advice"), REGISTRIES)
def test_wrong_registry_is_refused(
    dewy: Dewy, command: str, url: str, advice: str
) -> None:
    refuses(dewy(command, "--registry", url), url, advice)


@pytest.mark.parametrize("command", ["assets", "check"])
@pytest.mark.parametrize(("url", "advice"), CACHES)
def test_wrong_cache_is_refused(
    dewy: Dewy, command: str, url: str, advice: str
) -> None:
    refuses(dewy(command, "--registry", "mem://app", "--cache", url), url, advice)


@pytest.mark.parametrize("command", ["assets", "check"])
@pytest.mark.parametrize(("url", "variables", "advice"), CREDENTIALS)
def test_credentials_that_cannot_be_are_refused(
    dewy: Dewy,
    command: str,
    url: str,
    variables: dict[str, str],
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the registry and of the cache alike."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    refuses(dewy(command, "--registry", url), url, advice)
    refuses(dewy(command, "--registry", "mem://app", "--cache", url), url, advice)


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(["boto3", "google", "grpc", "redis", "consul"])
from dewy.caches import CACHES
from dewy.registries import REGISTRIES
from dewy.errors import ImplementationUnavailable
for table, url in eval(sys.argv[1]):
    try:
        {"cache": CACHES, "registry": REGISTRIES}[table].open(url, None, None)
    except ImplementationUnavailable as exc:
        print(exc)
"""


def test_missing_extra_is_named() -> None:
    """Whatever the scheme; and no scheme needs the client of another one."""
    asked = [
        (kind, url)
        for kind, urls in {
            "registry": [S3, GS, "grpc://host"],
            "cache": [S3, GS, "redis://host", "rediss://host", "consul://host"],
        }.items()
        for url in urls
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, repr(asked)], capture_output=True, text=True
    )

    s3, gcs = "boto3", "google-cloud-storage"
    packages = [s3, gcs, "grpcio", s3, gcs, "redis", "redis", "py-consul"]
    told = re.findall(r"; .* -m pip install '([\w-]+)>=.*'$", done.stdout, re.MULTILINE)
    assert packages == told, done.stdout + done.stderr
