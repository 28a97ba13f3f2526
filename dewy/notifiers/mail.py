"""Mail by SMTP: `mail://HOST[:PORT]/RECIPIENT`, also written `smtp://`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote

import aiosmtplib

from .. import urls
from ..errors import ConfigError, RemoteError
from ..remotes.vendor_files import require_answers
from ..system import for_certain
from . import Notice, Origin, PartlyDelivered, Undeliverable
from .format import mail_message

log = logging.getLogger(__name__)

PORT, IMPLICIT_TLS = 587, 465
DEADLINE = 12.0
"""Seconds for each step of the dialogue with the server."""

OPTIONS = {
    "username": "",
    "password": "",
    "from": "",
    "to": "",
    "subject": "Dewy Notification",
    "tls": "true",
    "ca": "",
    "host": "",
    "port": "",
}
ENVIRONMENT = {
    "username": "MAIL_USERNAME",
    "password": "MAIL_PASSWORD",
    "from": "MAIL_FROM",
}

# Too large, sender not allowed, transaction failed (RFC 5321, section 4.2.3).
_NEVER = {552, 553, 554}
_TEMPORARY = range(400, 500)
_REMEMBERED = 200
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


@dataclass(frozen=True, slots=True)
class MailAccount:
    """
    The mail server, the security of its connection, and the sender.

    Attributes:
        implicit: Whether the connection begins with TLS (RFC 8314).

        tls: Whether TLS is required: implicit at port 465, by STARTTLS at others.
    """

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = True

    @property
    def implicit(self) -> bool:
        return self.tls and self.port == IMPLICIT_TLS

    @classmethod
    def of(
        cls, url: SplitResult, chosen: Mapping[str, str], environ: Mapping[str, str]
    ) -> Self:
        """
        Read the account from *url*, its options and the environment.

        Raises:
            ConfigError: an option is missing or invalid.
        """
        given = {
            name: chosen[name] or environ.get(variable, "")
            for name, variable in ENVIRONMENT.items()
        }
        host = url.hostname or chosen["host"]
        username = given["username"] or unquote(url.username or "")
        password = given["password"] or unquote(url.password or "")
        to = unquote(url.path.strip("/")) or chosen["to"]
        sender = given["from"] or username
        _require(url.scheme, host=host, to=to, **{"from": sender})
        if bool(username) != bool(password):
            raise ConfigError(f"{url.scheme}:// needs both a user name and a password")
        recipients = tuple(part.strip() for part in to.split(","))
        for address in (sender, *recipients):
            if not _ADDRESS.fullmatch(address):
                raise ConfigError(f"{url.scheme}://: {address!r} is no mail address")
        return cls(
            host,
            _port(url, chosen["port"]),
            sender,
            recipients,
            username,
            password,
            urls.boolean("tls", chosen["tls"]),
        )


class MailNotifier:
    """
    A notifier by SMTP, with a message and a connection for each notice.

    Create it in a thread: it reads CA certificates.

    Raises:
        ConfigError: the URL or an option is invalid.
    """

    def __init__(self, url: SplitResult, origin: Origin) -> None:
        chosen = urls.options(url, OPTIONS)
        self._account = MailAccount.of(url, chosen, os.environ)
        self._subject = _line("subject", chosen["subject"])
        self._origin = origin
        self._settled: dict[str, set[str]] = {}
        self._ca = chosen["ca"]
        self._context = _context(self._ca) if self._account.tls else None

    def __repr__(self) -> str:
        return f"<MailNotifier {self._account.host}:{self._account.port}>"

    async def send(self, notice: Notice) -> None:
        """
        Send *notice* to the recipients that have not got it yet.

        Raises:
            PartlyDelivered: some recipients were refused for now; the next attempt
                concerns them alone.
            Undeliverable: the server will never accept *notice*.
            RemoteError: *notice* could not be sent now.
        """
        account = self._account
        message = mail_message(
            notice, self._origin, account.sender, account.recipients, self._subject
        )
        settled = self._settled.get(notice.id, set())
        left = [each for each in account.recipients if each not in settled]
        try:
            # The client uses `asyncio.wait_for`, which loses cancellations before 3.12.
            refused = await for_certain(self._deliver(message, left))
        except aiosmtplib.SMTPRecipientsRefused as exc:
            refused = {each.recipient: each.code for each in exc.recipients}
            if not settled:
                raise self._refusal(exc) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as exc:
            if any(isinstance(each, ssl.SSLError) for each in _causes(exc)):
                await self._reload_authorities()
            # Not `from exc`: what a server says may quote what it was told.
            raise self._refusal(exc) from None
        self._settle(notice, left, refused)

    async def _reload_authorities(self) -> None:
        """Load CA certificates, which may have been renewed, for the next attempt."""
        with suppress(ConfigError, RemoteError):
            await require_answers([_absolute(self._ca)] if self._ca else [])
            self._context = await asyncio.to_thread(_context, self._ca)

    def _settle(
        self, notice: Notice, tried: Sequence[str], refused: Mapping[str, int]
    ) -> None:
        """Note who needs no further attempt; raise PartlyDelivered if somebody does."""
        later = {to for to, code in refused.items() if code in _TEMPORARY}
        for address in refused.keys() - later:
            extra = {"to": address, "code": refused[address]}
            log.warning("Mail not taken for a recipient", extra=extra)
        settled = self._settled.pop(notice.id, set())
        if later:
            self._settled[notice.id] = settled | (set(tried) - later)
            if len(self._settled) > _REMEMBERED:
                del self._settled[next(iter(self._settled))]
            code = refused[min(later)]
            who = ", ".join(sorted(later))
            where = f"{self._account.host}:{self._account.port}"
            raise PartlyDelivered(f"{where} answered {code} for {who}")

    async def _deliver(
        self, message: EmailMessage, recipients: Sequence[str]
    ) -> dict[str, int]:
        """Send *message*; return the refused recipients with their reply codes."""
        account = self._account
        client = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            username=account.username or None,
            password=account.password or None,
            use_tls=account.implicit,
            start_tls=account.tls and not account.implicit,
            tls_context=self._context,
            timeout=DEADLINE,
        )
        try:
            await client.connect()
            refused, _ = await client.send_message(
                message, sender=account.sender, recipients=list(recipients)
            )
            # The mail is accepted: a failed QUIT changes nothing.
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit()
        finally:
            client.close()
        return {address: answer.code for address, answer in refused.items()}

    def _refusal(self, exc: Exception) -> RemoteError:
        where = f"{self._account.host}:{self._account.port}"
        match exc:
            case aiosmtplib.SMTPAuthenticationError():
                return RemoteError(f"{where} does not accept user name and password")
            case aiosmtplib.SMTPTimeoutError() | TimeoutError():
                return RemoteError(f"{where} did not answer in time")
            case aiosmtplib.SMTPRecipientsRefused():
                return RemoteError(f"{where} refuses every recipient")
            case (
                aiosmtplib.SMTPDataError(code=code)
                | aiosmtplib.SMTPSenderRefused(code=552 as code)
            ) if code in _NEVER:
                # Only here it concerns the message; in a banner it may be temporary.
                return Undeliverable(f"{where} answered {code} to the message")
            case aiosmtplib.SMTPResponseException(code=code):
                return RemoteError(f"{where} answered {code}")
            case aiosmtplib.SMTPConnectError():
                return RemoteError(f"{where} {_unreachable(exc)}")
            case aiosmtplib.SMTPException() if "STARTTLS" in str(exc):
                text = "offers no STARTTLS: add ?tls=false if plain text is intended"
                return RemoteError(f"{where} {text}")
        return RemoteError(f"{where} {_unreachable(exc)}")


def _unreachable(exc: BaseException) -> str:
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "has a certificate that is not trusted: name its authority with ca="
        if isinstance(cause, ssl.SSLError):
            return "could not be trusted: its TLS handshake failed"
        if isinstance(cause, socket.gaierror):
            return "is a name that could not be resolved"
        if isinstance(cause, OSError) and cause.errno:
            begun = isinstance(exc, aiosmtplib.SMTPServerDisconnected)
            what = "broke off the connection" if begun else "could not be reached"
            return f"{what}: {os.strerror(cause.errno).lower()}"
    return "broke off the connection"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield *exc* and its causes."""
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _context(ca: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError:
        raise ConfigError(f"{ca} holds no certificates in PEM form") from None
    except OSError as exc:
        raise ConfigError(f"{ca}: {exc.strerror}") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _line(name: str, text: str) -> str:
    """
    Return *text*, the value of the option *name*.

    Raises:
        ConfigError: *text* is not a single printable line.
    """
    if not text.isprintable():
        raise ConfigError(
            f"option {name}= must be one line without control characters, not "
            f"{json.dumps(text, ensure_ascii=False)}"
        )
    return text


def _port(url: SplitResult, option: str) -> int:
    text = str(url.port or option or PORT)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigError(f"option port={text!r} must be a port")
    return int(text)


def _require(scheme: str, **values: str) -> None:
    for name, value in values.items():
        if not value:
            raise ConfigError(
                f"{scheme}:// needs {name}: {scheme}://HOST/RECIPIENT?from=SENDER"
            )
