"""Verification that an image was signed with a key the operator trusts."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..deploy.signatures import Keys
from ..deploy.signatures.cosign import PEMKey
from ..errors import SignatureError
from ..release import Release
from ..remotes import Clients
from ..remotes.oci.client import connect
from ..remotes.oci.image_signature import is_about
from ..remotes.oci.reference import Reference

__all__ = ["ImageVerifier"]

log = logging.getLogger(__name__)

LIMIT = 64 * 1024
"""Bytes that a signed payload may have."""


class ImageVerifier:
    """Verifier of images of *reference*, of which one of *keys* must have signed."""

    def __init__(self, keys: Keys, reference: Reference, clients: Clients) -> None:
        self._keys = keys
        self._reference = reference
        self._clients = clients

    async def verify(self, release: Release) -> None:
        """
        Verify that the image of *release*, by its digest, is signed.

        Raises:
            SignatureError: there is no signature, or none that verifies.
            RemoteError: the registry did not hand the signatures out.
            DeploymentError: the keys cannot be read.
        """
        keys = [each for each in await self._keys() if isinstance(each, PEMKey)]
        registry, reference = await connect(self._clients), self._reference
        name, digest = reference.tagged(release.tag), release.identity
        found = await registry.signatures(reference, digest)
        if not found:
            raise SignatureError(
                f"{name} has no signature; cosign sign {reference.pull_name(digest)}"
            )
        for each in found:
            payload = await registry.blob(reference, each.payload, LIMIT)
            if is_about(payload, digest) and _signed(keys, payload, each.signature):
                log.debug("Verified signature", extra={"image": name})
                return
        raise SignatureError(
            f"signature of {name} does not verify: none beside {digest} is by a key "
            "of --verify-signature"
        )


def _signed(keys: Sequence[PEMKey], payload: bytes, signature: bytes) -> bool:
    return any(key.has_signed(payload, signature) for key in keys)
