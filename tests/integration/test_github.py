"""A program from the releases of a repository, as the README has it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.system import hostname
from tests.deploy.signatures.signing import Minisign
from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.github import TOKEN, GitHubServer, ago
from tests.standins.site import Dewy

SIGNER = Minisign()
PLATFORMS = ("linux_x86_64", "linux_arm64", "linux_armv7", "darwin_amd64")
RECORD = re.compile(
    rf"shipped_to_{re.escape(hostname())}_server_at_\d{{8}}T\d{{6}}.+Z\.txt"
)


@pytest.fixture
async def github() -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        yield server


@pytest.fixture
def dewy(tmp_path: Path, unused_tcp_port: int, github: GitHubServer) -> Dewy:
    key = tmp_path / "minisign.pub"
    key.write_bytes(SIGNER.public)
    variables = {"GITHUB_API_URL": github.api, "GITHUB_TOKEN": TOKEN}
    return Dewy(
        tmp_path,
        unused_tcp_port,
        registry_url="ghr://acme/app",
        variables=variables,
        options=["--verify-checksum", "required", "--verify-signature", str(key)],
    )


def assets(version: str, said: str = "") -> dict[str, bytes]:
    """A signed archive for each platform, decoys, and the checksums of *said*."""
    good, foreign = (
        programs.tarball(programs.files(text)) for text in (version, "of another host")
    )
    here = "linux_"
    archives = {
        f"shop_{version}_{platform}.tar.gz": good if here in platform else foreign
        for platform in PLATFORMS
    }
    archives["shop-linux-tools_darwin_amd64.tgz"] = foreign
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in archives.items()}
    if said:
        sums = dict.fromkeys(sums, hashlib.sha256(said.encode()).hexdigest())
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    return {
        "checksums.txt": lines.encode(),
        "checksums.txt.sig": b"signature",
        **{f"{name}.asc": b"signature" for name in archives},
        **{f"{name}.minisig": SIGNER.sign(data) for name, data in archives.items()},
        **archives,
    }


async def test_a_program_is_kept_at_the_newest_release(
    dewy: Dewy, github: GitHubServer
) -> None:
    """The right file of many, verified, recorded, and nothing newer that is wrong."""
    github.publish("v0.9.0", assets("v0.9.0"))
    github.publish("v1.1.0-rc.1", assets("v1.1.0-rc.1"))
    first = github.publish("v1.0.0", assets("v1.0.0"))
    github.publish("v2.0.0", assets("v2.0.0"), draft=True, published_at=None)
    async with dewy:
        await dewy.runs("v1.0.0")
        assert "v1.0.0" == await dewy.fetch()
        await eventually(lambda: [a for a in first.assets if RECORD.fullmatch(a.name)])
        github.publish("v1.1.0", assets("v1.1.0", said="something else"))
        assert "checksums.txt says" in await dewy.refuses("v1.1.0")
        assert "v1.0.0" == await dewy.fetch()
        github.publish("v1.1.1", assets("v1.1.1"))
        await dewy.runs("v1.1.1")
        assert "v1.1.1" == await dewy.fetch()
    [record] = [a for a in first.assets if RECORD.fullmatch(a.name)]
    tags = [each.tag for each in await roots.history(dewy.root)]

    assert "text/plain" == record.content_type
    assert record.data.startswith(f"shipped to {hostname()} server at ".encode())
    assert ["v1.0.0", "v1.1.0", "v1.1.1"] == tags


async def test_a_release_whose_files_are_still_on_their_way_is_waited_for(
    dewy: Dewy, github: GitHubServer
) -> None:
    """For as long as the grace period lasts that is no failure, at boot neither."""
    github.publish("v1.0.0", assets("v1.0.0"))
    async with dewy:
        await dewy.runs("v1.0.0")
    late = github.publish("v1.1.0", published_at=ago(60))
    async with dewy:
        status = await dewy.until(lambda now: now["last_poll"])
        assert ("", []) == (status["last_error"], status["degraded"])
        assert "v1.0.0" == await dewy.fetch()
        for name, data in assets("v1.1.0").items():
            github.attach(late, name, data)
        await dewy.runs("v1.1.0")


async def test_a_release_that_never_gets_its_files_is_told(
    dewy: Dewy, github: GitHubServer
) -> None:
    """With what was looked at and refused; what ran before runs on."""
    github.publish("v1.0.0", assets("v1.0.0"))
    async with dewy:
        await dewy.runs("v1.0.0")
        github.publish("v1.1.0", {"notes.txt": b""}, published_at=ago(3600))
        status = await dewy.until(lambda now: now["passed_over"])

        assert "v1.1.0" == status["passed_over"][0]["name"]
        assert ["v1.1.0 is newer and passed over"] == status["attention"]
        assert "v1.0.0" == await dewy.fetch()
    variables = {**dewy.variables, "DEWY_REGISTRY": dewy.registry_url}
    said = await roots.say(dewy.root, "check", **variables)
    assert 0 == said.status
    assert "for this host (notes.txt: not an archive)" in said.out
    assert TOKEN not in said.out + said.err
