"""No image that the operator's key has not signed gets a container."""

from __future__ import annotations

import asyncio

from tests.deploy.signatures.signing import Cosign, Minisign
from tests.standins import roots
from tests.standins.container_site import ContainerDewy

GOOD, FORGED, UNSIGNED, NEXT = "v1.0.0", "v1.0.1", "v1.0.2", "v1.0.3"


async def test_replicas_are_replaced_only_by_signed_image(site: ContainerDewy) -> None:
    pair = Cosign()
    await asyncio.to_thread((site.base / "cosign.pub").write_bytes, pair.public)
    site.options = ("--verify-signature", str(site.base / "cosign.pub"))
    await site.push(GOOD, sign=pair.sign)
    async with site:
        await site.serves(GOOD)
        before = await site.alone(GOOD)
        await site.push(FORGED, sign=Cosign().sign)
        forged = await site.refuses(FORGED)
        await site.push(UNSIGNED)
        unsigned = await site.refuses(UNSIGNED)
        asked = ("--registry", site.registry_url, *site.options)
        check = await roots.say(site.root, "check", *asked, **site.engine.environ)
        assert before == await site.alone(GOOD)
        platforms = ("linux/amd64", "linux/arm64")
        await site.push(NEXT, sign=pair.sign, platforms=platforms)
        await site.serves(NEXT)

    name = f"{site.publisher.host}/{site.repository}"
    assert forged.startswith(f"signature of {name}:{FORGED} does not verify")
    assert unsigned.startswith(f"{name}:{UNSIGNED} has no signature")
    assert f"warning:  {name}:{UNSIGNED} has no signature" in check.out
    history = await roots.history(site.root)
    assert [GOOD, FORGED, UNSIGNED, NEXT] == [each.tag for each in history]


async def test_key_of_another_kind_is_a_mistake_of_the_configuration(
    site: ContainerDewy,
) -> None:
    await asyncio.to_thread(site.root.mkdir)
    await asyncio.to_thread((site.root / "m.pub").write_bytes, Minisign().public)
    words = ("--registry", site.registry_url, "--verify-signature", "m.pub")
    for command in (("container", "-p", "8080"), ("check", "container", "-p", "8080")):
        said = await roots.say(site.root, *command, *words, **site.engine.environ)
        assert 2 == said.status
        assert "--verify-signature m.pub must be a public key of cosign" in said.err
