"""Nothing that the operator's key has not signed is deployed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.deploy.signatures.signing import Minisign
from tests.standins import programs, publishing, roots
from tests.standins.site import Dewy

FILE = "app.tar.gz"
SIGNATURE = f"{FILE}.minisig"


@pytest.fixture
def signer() -> Minisign:
    return Minisign()


@pytest.fixture
def dewy(tmp_path: Path, unused_tcp_port: int, signer: Minisign) -> Dewy:
    (tmp_path / "root").mkdir()
    (tmp_path / "registry").mkdir()
    (tmp_path / "root" / "release.pub").write_bytes(signer.public)
    options = ["--verify-signature", "release.pub"]
    return Dewy(tmp_path, unused_tcp_port, options=options)


def publish(dewy: Dewy, version: str, signer: Minisign | None) -> None:
    data = programs.tarball(programs.files(version))
    beside = {SIGNATURE: signer.sign(data)} if signer else {}
    publishing.put(dewy.registry, version, {FILE: data, **beside})


async def test_only_signed_release_replaces_running_program(
    dewy: Dewy, signer: Minisign
) -> None:
    publish(dewy, "v1.0.0", signer)
    async with dewy:
        await dewy.runs("v1.0.0")
        await asyncio.to_thread(publish, dewy, "v1.1.0", Minisign())
        assert f"signature of {FILE} does not verify" in await dewy.refuses("v1.1.0")
        await asyncio.to_thread(publish, dewy, "v1.2.0", None)
        assert f"{FILE} has no signature" in await dewy.refuses("v1.2.0")
        assert "v1.0.0" == await dewy.fetch()
        await asyncio.to_thread(publish, dewy, "v1.3.0", signer)
        await dewy.runs("v1.3.0")
    outcomes = {each.tag: each.reason for each in await roots.history(dewy.root)}

    assert ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] == [*outcomes]
    assert outcomes["v1.1.0"].startswith(f"signature of {FILE} does not verify")
    assert outcomes["v1.2.0"].startswith(f"{FILE} has no signature")


@pytest.mark.parametrize("command", ["server", "assets", "check"])
async def test_key_that_is_none_is_a_mistake_of_the_configuration(
    dewy: Dewy, command: str
) -> None:
    await asyncio.to_thread((dewy.root / "release.pub").write_text, "secret")
    words = [command, "--registry", f"file://{dewy.registry}", *dewy.options]
    program = ["--", "./app"] if command == "server" else []
    said = await roots.say(dewy.root, *words, *program)
    [told] = [line for line in said.err.splitlines() if "error" in line]

    assert 2 == said.status
    assert "--verify-signature release.pub must be a file with one public key" in told
    assert "secret" not in said.err + said.out


async def test_check_warns_of_missing_signature(dewy: Dewy, signer: Minisign) -> None:
    await asyncio.to_thread(publish, dewy, "v1.0.0", None)
    words = ["check", "--json", "--registry", f"file://{dewy.registry}", *dewy.options]
    found = json.loads((await roots.say(dewy.root, *words)).out)
    assert [f"{FILE} has no signature; publish {SIGNATURE} beside it"] == (
        found["surprises"]
    )

    await asyncio.to_thread(publish, dewy, "v1.1.0", signer)
    found = json.loads((await roots.say(dewy.root, *words)).out)
    assert ("v1.1.0", []) == (found["tag"], found["surprises"])
