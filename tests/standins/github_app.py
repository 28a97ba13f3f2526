"""GitHub's side of App authentication: it checks the JWT and hands out tokens."""

from __future__ import annotations

import base64
import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

LONGEST = 600


class Apps:
    """
    One App, number 12, with one installation, 34.

    Attributes:
        key: Its private key; made on first use, as that takes a while.

        clock_error: Seconds by which GitHub's clock is ahead of ours.

        lifetime: Seconds a token lasts.

        claims: Of each JWT accepted so far.
    """

    def __init__(self, tokens: set[str]) -> None:
        self.clock_error = 0.0
        self.lifetime = 3600.0
        self.claims: list[dict[str, Any]] = []
        self._tokens = tokens
        self._key: rsa.RSAPrivateKey | None = None
        self._count = itertools.count(1)

    @property
    def key(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return self._key

    def renew(self) -> None:
        """Have another key from now on."""
        self._key = None

    def pem(self, form: PrivateFormat = PrivateFormat.TraditionalOpenSSL) -> str:
        """The key as GitHub gives it (PKCS#1), or in another *form*."""
        return self.key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

    def installation_token(self, request: web.Request) -> web.Response:
        """`POST /app/installations/34/access_tokens`."""
        if request.match_info["id"] != "34":
            return web.json_response({"message": "Not Found"}, status=404)
        if complaint := self._complaint(request.headers.get("Authorization", "")):
            return web.json_response({"message": complaint}, status=401)
        token = f"ghs_{next(self._count)}"
        self._tokens.add(token)
        ends = datetime.fromtimestamp(time.time() + self.lifetime, UTC)
        return web.json_response(
            {"token": token, "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}, status=201
        )

    def _complaint(self, authorization: str) -> str:
        try:
            claims = self._verified(authorization.removeprefix("Bearer "))
        except (ValueError, InvalidSignature):
            return "A JSON web token could not be decoded"
        now = time.time() + self.clock_error
        if claims["iss"] != "12":
            return "Integration not found"
        if claims["exp"] < now:
            return "'Expiration time' claim ('exp') is in the past"
        if claims["exp"] - now > LONGEST:
            return "'Expiration time' claim ('exp') is too far in the future"
        if claims["iat"] > now:
            return "'Issued at' claim ('iat') is in the future"
        self.claims.append(claims)
        return ""

    def _verified(self, jwt: str) -> dict[str, Any]:
        signed, _, signature = jwt.rpartition(".")
        self.key.public_key().verify(
            decoded(signature), signed.encode(), padding.PKCS1v15(), SHA256()
        )
        header, claims = (json.loads(decoded(part)) for part in signed.split("."))
        if header != {"alg": "RS256", "typ": "JWT"}:
            raise ValueError(header)
        return dict(claims)


def decoded(part: str) -> bytes:
    """Base64 as JWTs use it, without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
