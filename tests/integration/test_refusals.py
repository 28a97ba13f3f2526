"""What a server refuses is one line of `check`, be it asked as registry or as cache."""

from __future__ import annotations

import gc
import ssl
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from dewy.admin.preview import preview
from dewy.cli.check import lines
from dewy.config import Settings
from tests.standins.certificates import Authority
from tests.standins.s3 import ENVIRONMENT


@asynccontextmanager
async def answering(
    status: int, body: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The URL of a server that answers everything so."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def error(code: str, **more: str) -> str:
    """One of S3's, as XML."""
    fields = {"Code": code, "Message": "m", **more}
    text = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f"<Error>{text}</Error>"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def url(scheme: str, server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    if scheme == "gs":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server)
        return "gs://releases/app"
    return f"s3://eu-central-1/releases/app?endpoint={server}"


async def told(root: Path, registry: str, cache: str) -> Mapping[str, str]:
    settings = Settings(
        command="check",
        root=root,
        cache_dir=root / "cache",
        registry=registry,
        cache=cache,
    )
    found = await preview(settings)
    shown = list(lines(found))
    assert all("\n" not in line for line in shown)
    return found


async def agree(root: Path, where: str) -> str:
    """What is told of *where* as a registry, and again as a cache."""
    registry = (await told(root, where, ""))["error"]
    cache = (await told(root, "mem://nothing", where))["cache_error"]
    assert registry == cache
    return registry


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("scheme", "status", "body", "advice"),
    [
        ("s3", 404, error("NoSuchBucket"), "there is no such bucket"),
        ("s3", 403, error("InvalidAccessKeyId"), "refused; set AWS_ACCESS_KEY_ID"),
        ("s3", 403, error("AccessDenied"), "the bucket's policy or IAM says so"),
        (
            "s3",
            400,
            error("AuthorizationHeaderMalformed", Region="eu-west-1"),
            "the bucket is in another region; write s3://eu-west-1/",
        ),
        ("gs", 404, "", "there is no such bucket"),
        ("gs", 401, "", "set GOOGLE_APPLICATION_CREDENTIALS"),
        ("gs", 403, "", "the bucket's IAM policy says so"),
    ],
)
async def test_refused_request_error_suggests_remedy(
    scheme: str,
    status: int,
    body: str,
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        async with answering(status, body) as server:
            line = await agree(tmp_path, url(scheme, server, monkeypatch))
        gc.collect()

    assert [] == [str(warning.message) for warning in caught]
    assert "s3://eu-central-1/releases" in line or "gs://releases" in line
    assert advice in line
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in line


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("scheme", "advice"), [("s3", "AWS_CA_BUNDLE"), ("gs", "REQUESTS_CA_BUNDLE")]
)
async def test_untrusted_certificate_error_suggests_remedy(
    scheme: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Authority(tmp_path / "pki").certify("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    async with answering(200, "", context) as server:
        line = await agree(tmp_path, url(scheme, server, monkeypatch))

    assert "could not be trusted: its TLS handshake or certificate failed" in line
    assert advice in line


async def test_missing_credentials_error_suggests_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of S3; to the stand-in for Google's nobody shows any."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    async with answering(200) as server:
        line = await agree(tmp_path, url("s3", server, monkeypatch))

    assert "found no credentials; set AWS_ACCESS_KEY_ID" in line
