from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from dewy.containers.image_store import PAYLOAD_LIMIT, ImageVerifier
from dewy.deploy.signatures import cosign
from dewy.errors import RemoteError, SignatureError
from dewy.release import Release
from dewy.remotes import Clients
from dewy.remotes.oci.reference import Reference
from tests.deploy.signatures.signing import Cosign, CosignEd25519
from tests.standins.files import Fault
from tests.standins.image_api import ImageAPI
from tests.standins.image_signatures import Signed, payload
from tests.standins.pushed_images import digest_of

DIGEST = digest_of(b"v1.0.0")
RELEASE = Release("v1.0.0", "img://host/app:v1.0.0", DIGEST)

Pair = Cosign | CosignEd25519


@pytest.fixture
async def server() -> AsyncIterator[ImageAPI]:
    async with ImageAPI() as server:
        server.tag("v1.0.0")
        yield server


def signed(pair: Pair, digest: str = DIGEST) -> Signed:
    return Signed(payload(digest), pair.sign(payload(digest)).strip())


async def verify(server: ImageAPI, *pairs: Pair) -> None:
    keys = [key for pair in pairs if (key := cosign.read(pair.public))]

    async def trusted() -> Sequence[cosign.PEMKey]:
        return keys

    async with Clients() as clients:
        reference = Reference(server.host, "app")
        await ImageVerifier(trusted, reference, clients).verify(RELEASE)


@pytest.mark.parametrize("kind", [Cosign, CosignEd25519])
async def test_signature_by_any_of_the_keys_verifies(
    server: ImageAPI, kind: type[Pair]
) -> None:
    pair, other = kind(), Cosign()
    server.sign(DIGEST, signed(pair))

    await verify(server, other, pair)


async def test_any_of_several_signatures_will_do(server: ImageAPI) -> None:
    pair = Cosign()
    server.sign(DIGEST, signed(Cosign()), signed(pair), signed(CosignEd25519()))

    await verify(server, pair)


async def test_absent_signature_is_refused(server: ImageAPI) -> None:
    with pytest.raises(
        SignatureError, match=rf"/app:v1\.0\.0 has no signature; cosign sign .*{DIGEST}"
    ):
        await verify(server, Cosign())


async def test_signature_by_another_key_is_refused(server: ImageAPI) -> None:
    server.sign(DIGEST, signed(Cosign()))

    with pytest.raises(
        SignatureError, match=r"^signature of .*/app:v1\.0\.0 does not verify"
    ):
        await verify(server, Cosign())


async def test_signature_of_another_image_is_refused(server: ImageAPI) -> None:
    """It may be copied beside any image by whoever can push."""
    pair = Cosign()
    server.sign(DIGEST, signed(pair, digest_of(b"v0.9.0")))

    with pytest.raises(SignatureError, match="does not verify"):
        await verify(server, pair)


async def test_altered_payload_is_refused(server: ImageAPI) -> None:
    pair = Cosign()
    server.sign(DIGEST, Signed(payload(DIGEST), pair.sign(payload(DIGEST) + b" ")))

    with pytest.raises(SignatureError, match="does not verify"):
        await verify(server, pair)


async def test_payload_not_matching_digest_raises_remote_error(
    server: ImageAPI,
) -> None:
    pair = Cosign()
    server.sign(DIGEST, signed(pair))
    server.files[f"blobs/{digest_of(payload(DIGEST))}"] = b"another"

    with pytest.raises(RemoteError, match="does not have this digest"):
        await verify(server, pair)


async def test_oversize_payload_is_not_read(server: ImageAPI) -> None:
    pair = Cosign()
    large = payload(DIGEST) + b" " * PAYLOAD_LIMIT
    server.sign(DIGEST, Signed(large, pair.sign(large)))

    with pytest.raises(RemoteError, match=f"exceeds {PAYLOAD_LIMIT} bytes"):
        await verify(server, pair)


async def test_registry_in_trouble_is_no_verdict(server: ImageAPI) -> None:
    pair = Cosign()
    server.sign(DIGEST, signed(pair))
    server.faults = [Fault(status=503)]

    with pytest.raises(RemoteError):
        await verify(server, pair)
