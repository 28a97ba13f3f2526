"""A token server for image registries, as the specification of distribution has it."""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ISSUER, SERVICE = "the-issuer", "the-service"
USER, PASSWORD = "robot", "s3cret-of-robot"


def basic(user: str, password: str) -> str:
    """The Authorization that shows them."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class TokenServer:
    """
    Gives out signed tokens on loopback.

    Attributes:
        url: The realm.

        anonymous: Whoever shows nothing gets a token to read with.

        lasts: `expires_in`, or None to state nothing.

        identity: The identity token that is honoured.

        seen: The query or form of each request, with `authorization` in it.

        faults: Each answers one request instead.
    """

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _certificate(self._key)
        self.url = ""
        self.anonymous = True
        self.lasts: int | None = 300
        self.identity = "the-identity-token"
        self.seen: list[dict[str, str]] = []
        self.faults: list[web.Response] = []
        app = web.Application()
        app.router.add_get("/token", self._get)
        app.router.add_post("/token", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def write_certificate(self, path: Path) -> None:
        """Write what a registry checks our tokens by."""
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def token(self, scope: str, subject: str = "", seconds: int = 300) -> str:
        """A token for *scope*, `repository:app:pull,push`."""
        kind, name, actions = scope.split(":")
        access = {"type": kind, "name": name, "actions": actions.split(",")}
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": subject,
            "nbf": now - 60,
            "iat": now,
            "exp": now + seconds,
            "jti": uuid.uuid4().hex,
            "access": [access],
        }
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {
            "alg": "RS256",
            "typ": "JWT",
            "x5c": [base64.b64encode(der).decode()],
        }
        signed = f"{_packed(header)}.{_packed(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    async def _get(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "")
        self.seen.append({**request.query, "authorization": shown})
        if self.faults:
            return self.faults.pop(0)
        known = shown == basic(USER, PASSWORD)
        if not known and (shown or not self.anonymous):
            return web.json_response({"details": "incorrect login"}, status=401)
        return self._grant(request.query["scope"], "token")

    async def _post(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.seen.append({**form, "authorization": ""})
        if self.faults:
            return self.faults.pop(0)
        if form.get("refresh_token") != self.identity:
            return web.json_response({"details": "invalid_grant"}, status=400)
        return self._grant(form["scope"], "access_token")

    def _grant(self, scope: str, name: str) -> web.Response:
        answer: dict[str, Any] = {name: self.token(scope)}
        if self.lasts is not None:
            answer["expires_in"] = self.lasts
        return web.json_response(answer)


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def _packed(document: object) -> str:
    return _base64(json.dumps(document).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
