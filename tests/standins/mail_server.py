"""An SMTP server on loopback: aiosmtpd, which wants TLS and a login."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.standins.certificates import Pair
from tests.standins.receiving import kept

USER, PASSWORD = "dewy", "hunter2hunter2"


@dataclass
class MailServer:
    """
    Takes mail, and keeps it in *letters*.

    Stopped, it keeps its port: nobody else may answer there meanwhile.

    Args:
        pair: The certificate; without one there is no TLS at all.

        implicit: TLS from the first byte, instead of STARTTLS.

        login: Whether a user name and a password are wanted.

    Attributes:
        fault: What every message is answered with instead, or `hang`.

        refused: What recipients are answered with instead, by address.

        banner: What a connection is greeted with instead; then it is closed.
    """

    pair: Pair | None = None
    implicit: bool = False
    login: bool = True
    fault: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    banner: str = ""
    tries: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _place: socket.socket | None = None
    _port: int = 0
    _open: list[SMTP] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
        if self._place:
            self._place.close()

    async def start(self) -> None:
        """Listen; again on the same port after a `stop`."""
        context = None
        if self.pair:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.pair)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: self._protocol(context),
            sock=self._place or kept(0),
            ssl=context if self.implicit else None,
        )
        self._place = None
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and end what is open."""
        if self._server:
            self._server.close()
            self._server = None
            self._place = kept(self._port)
        handling = {task for task in map(_handler, self._open) if task}
        for task in handling:
            task.cancel()
        if handling:
            await asyncio.wait(handling)
        self._open.clear()

    def _protocol(self, context: ssl.SSLContext | None) -> asyncio.Protocol:
        if self.banner:
            return _Unwelcoming(self.banner)
        starttls = None if self.implicit else context
        made = SMTP(
            self,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=_authenticate if self.login else None,
            auth_required=self.login and starttls is not None,
            auth_require_tls=starttls is not None,
            loop=asyncio.get_running_loop(),
        )
        self._open.append(made)
        return made

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.tries += 1
        if self.fault == "hang":
            await asyncio.Event().wait()
        if self.fault:
            return self.fault
        assert isinstance(envelope.content, bytes)
        read: Any = message_from_bytes(envelope.content, policy=policy.default)
        self.letters.append(read)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"


class _Unwelcoming(asyncio.Protocol):
    def __init__(self, banner: str) -> None:
        self._banner = banner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast(asyncio.WriteTransport, transport)
        writing.write(f"{self._banner}\r\n".encode())
        writing.close()


def _handler(connection: SMTP) -> asyncio.Task[None] | None:
    return connection._handler_coroutine


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    # Unhandled, or a client with a wrong password gets no answer at all.
    return AuthResult(success=known, handled=False)
