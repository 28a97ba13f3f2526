"""`dewy check` on images, as an operator types it, with a real registry."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needs
from tests.standins.image_registry import ImageRegistryServer
from tests.standins.pushed_images import image

pytestmark = needs("docker-registry", "openssl")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """One for `localhost` that nobody else has signed, and its key."""
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-addext", "keyUsage=digitalSignature,keyCertSign"),
        ],
        check=True,
        capture_output=True,
    )
    return paths


async def check(root: Path, url: str, *options: str, **environ: str) -> tuple[int, str]:
    """Exit status and output of `dewy check`."""
    program = [sys.executable, "-m", "dewy", "check", "--registry", url, *options]
    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=root,
        env={**os.environ, "HOME": str(root), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_newest_image_is_shown(tmp_path: Path) -> None:
    """With calendar versions, too, which have the URL written anew."""
    async with ImageRegistryServer(tmp_path / "registry") as server:
        for tag in ("2031.09.1", "2031.10.0"):
            await server.pusher().push("app", tag, image({"tag": tag.encode()}))
        url = f"img://{server.host}/app"
        status, output = await check(tmp_path, url, "--calver", "YYYY.0M.MICRO")

    assert [
        "release:  2031.10.0",
        f"artifact: {url}:2031.10.0",
        "older:    1 version",
    ] == output.splitlines()
    assert 0 == status
    assert not (tmp_path / ".dewy").exists()


async def test_tag_in_the_url_is_a_mistake(tmp_path: Path) -> None:
    status, output = await check(tmp_path, "img://ghcr.io/acme/app:v1.2")

    assert 2 == status
    assert "write img://ghcr.io/acme/app, or" in output
    assert 1 == len(output.splitlines())


async def test_certificate_has_to_be_trusted(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """`SSL_CERT_FILE` names who is, as it does for other programs."""
    async with ImageRegistryServer(tmp_path / "registry") as server:
        await server.pusher().push("app", "v1.0.0", image({"a": b"1"}))
    async with ImageRegistryServer(tmp_path / "registry", tls=certificate) as server:
        url = f"img://{server.host}/app?insecure=false"
        distrusted = await check(tmp_path, url)
        trusted = await check(tmp_path, url, SSL_CERT_FILE=str(certificate[0]))

    reason = "could not be trusted: its TLS handshake or certificate failed"
    assert (1, f"nothing to deploy: {server.host} {reason}\n") == distrusted
    assert 0 == trusted[0]
    assert trusted[1].startswith("release:  v1.0.0\n")
