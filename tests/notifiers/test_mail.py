"""Mail leaves encrypted, in the right name, or not at all."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dewy import urls
from dewy.errors import ConfigError, ImplementationUnavailable, RemoteError
from dewy.notifiers import (
    NOTIFIERS,
    Notice,
    NoticeKind,
    Notifier,
    Origin,
    PartlyDelivered,
    Undeliverable,
)
from tests.needs import found, needs
from tests.standins.certificates import Authority

if found("mail"):
    from dewy.notifiers import mail as module
    from dewy.notifiers.mail import OPTIONS, MailAccount
    from tests.standins.mail_server import PASSWORD, USER, MailServer

pytestmark = needs("mail")

ERROR = Notice(NoticeKind.ERROR, "v2 failed")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_USERNAME", USER)
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    monkeypatch.setenv("MAIL_FROM", "dewy@acme.test")


async def notifier(server: MailServer, query: str, scheme: str = "mail") -> Notifier:
    url = f"{scheme}://{server.address}/ops@acme.test?{query}"
    origin = Origin("web-01", Path("/srv"))
    return await asyncio.to_thread(NOTIFIERS.open, url, origin)


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("scheme", ["mail", "smtp"])
async def test_mail_leaves_after_starttls_and_login(
    authority: Authority, scheme: str
) -> None:
    async with MailServer(authority.certify("127.0.0.1")) as server:
        await (await notifier(server, f"ca={authority.cert}", scheme)).send(ERROR)

    (letter,) = server.letters
    assert ("dewy@acme.test", "ops@acme.test") == (letter["From"], letter["To"])
    assert "Dewy Notification" == letter["Subject"]


@pytest.mark.usefixtures("login")
async def test_port_465_is_encrypted_from_the_first_byte(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with MailServer(authority.certify("127.0.0.1"), implicit=True) as server:
        monkeypatch.setattr(module, "IMPLICIT_TLS", server._port)
        await (await notifier(server, f"ca={authority.cert}")).send(ERROR)

    assert 1 == len(server.letters)


@pytest.mark.usefixtures("login")
async def test_without_starttls_nothing_is_sent() -> None:
    """Least of all the password."""
    async with MailServer(login=False) as server:
        with pytest.raises(RemoteError, match=r"no STARTTLS: add \?tls=false"):
            await (await notifier(server, "")).send(ERROR)

    assert [] == server.letters


async def test_plain_text_has_to_be_asked_for() -> None:
    async with MailServer(login=False) as server:
        query = "tls=false&from=dewy@acme.test&subject=Shop"
        await (await notifier(server, query)).send(ERROR)

    assert "Shop" == server.letters[0]["Subject"]


@pytest.mark.usefixtures("login")
async def test_server_that_is_not_trusted_gets_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", "another")
    async with MailServer(other.certify("127.0.0.1")) as server:
        with pytest.raises(RemoteError, match="name its authority with ca="):
            await (await notifier(server, f"ca={authority.cert}")).send(ERROR)

    assert [] == server.letters


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("552 too large", Undeliverable, "answered 552"),
        ("451 later", RemoteError, "answered 451"),
        ("550 never", RemoteError, "answered 550"),
    ],
)
async def test_answer_decides_about_another_try(
    authority: Authority, fault: str, kind: type[RemoteError], said: str
) -> None:
    async with MailServer(authority.certify("127.0.0.1")) as server:
        server.fault = fault
        with pytest.raises(kind, match=said) as caught:
            await (await notifier(server, f"ca={authority.cert}")).send(ERROR)

    assert kind is type(caught.value)


@pytest.mark.usefixtures("login")
async def test_renewed_authority_is_read_after_distrust(
    authority: Authority, tmp_path: Path
) -> None:
    """By the next try, without a restart."""
    ca, old = tmp_path / "ca.pem", Authority(tmp_path / "old")
    await asyncio.to_thread(shutil.copy, old.cert, ca)
    async with MailServer(authority.certify("127.0.0.1")) as server:
        made = await notifier(server, f"ca={ca}")
        with pytest.raises(RemoteError, match="not trusted"):
            await made.send(ERROR)
        await asyncio.to_thread(shutil.copy, authority.cert, ca)
        with pytest.raises(RemoteError, match="not trusted"):
            await made.send(ERROR)
        await made.send(ERROR)

        assert 1 == len(server.letters)


async def test_wrong_password_is_told_and_not_shown(authority: Authority) -> None:
    async with MailServer(authority.certify("127.0.0.1")) as server:
        query = f"ca={authority.cert}&username={USER}&password=s3same&from=a@b.test"
        with pytest.raises(RemoteError, match="user name and password") as caught:
            await (await notifier(server, query)).send(ERROR)

    assert "s3same" not in str(caught.value)


@pytest.mark.parametrize("banner", ["554 no service here", "421 too busy"])
async def test_greeting_that_refuses_drops_no_notice(banner: str) -> None:
    """It is not about the message, and may be another one soon."""
    async with MailServer(login=False, banner=banner) as server:
        made = await notifier(server, "tls=false&from=dewy@acme.test")
        with pytest.raises(RemoteError, match=f"answered {banner[:3]}") as caught:
            await made.send(ERROR)
        assert RemoteError is type(caught.value)
        server.banner = ""
        await made.send(ERROR)

    assert 1 == len(server.letters)


async def to(server: MailServer, *recipients: str) -> Notifier:
    url = (
        f"mail://{server.address}?to={','.join(recipients)}&tls=false&from=d@acme.test"
    )
    return await asyncio.to_thread(NOTIFIERS.open, url, Origin("h", Path("/srv")))


async def test_unknown_recipient_does_not_prevent_delivery_to_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with MailServer(login=False) as server:
        server.refused["gone@acme.test"] = "550 no such mailbox"
        await (await to(server, "ops@acme.test", "gone@acme.test")).send(ERROR)
        assert 1 == len(server.letters)
        assert "Mail not taken for a recipient" in caplog.text
        with pytest.raises(RemoteError, match="every recipient"):
            await (await to(server, "gone@acme.test")).send(ERROR)


async def test_recipient_refused_for_now_is_tried_again_alone() -> None:
    """Nobody gets the same mail twice."""
    async with MailServer(login=False) as server:
        made = await to(server, "ops@acme.test", "grey@acme.test", "gone@acme.test")
        server.refused["gone@acme.test"] = "550 no such mailbox"
        server.refused["grey@acme.test"] = "450 greylisted"
        for _ in range(2):
            with pytest.raises(PartlyDelivered, match="answered 450 for grey@acme"):
                await made.send(ERROR)
        del server.refused["grey@acme.test"]
        await made.send(ERROR)

    assert [["ops@acme.test"], ["grey@acme.test"]] == server.recipients
    assert 1 == len({letter["Message-ID"] for letter in server.letters})


async def test_recipient_refused_for_good_at_the_second_try_is_given_up() -> None:
    async with MailServer(login=False) as server:
        made = await to(server, "ops@acme.test", "grey@acme.test")
        server.refused["grey@acme.test"] = "451 later"
        with pytest.raises(PartlyDelivered):
            await made.send(ERROR)
        server.refused["grey@acme.test"] = "550 no such mailbox"
        await made.send(ERROR)

    assert [["ops@acme.test"]] == server.recipients


def account(url: str, **environ: str) -> MailAccount:
    parts = urls.split(url)
    return MailAccount.of(parts, urls.options(parts, OPTIONS), environ)


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("mail://h/o@x", {"MAIL_FROM": "a@x"}, ("h", 587, "a@x", ("o@x",), "", "")),
        ("mail://h:25/o@x?from=b@x", {}, ("h", 25, "b@x", ("o@x",), "", "")),
        (
            "smtp://?host=h&port=465&to=o@x&username=u@x&password=p",
            {"MAIL_PASSWORD": "q"},
            ("h", 465, "u@x", ("o@x",), "u@x", "p"),
        ),
        (
            "mail://u%40x:p%2F@h/o@x,p@x",
            {},
            ("h", 587, "u@x", ("o@x", "p@x"), "u@x", "p/"),
        ),
    ],
)
def test_url_comes_before_the_environment(
    url: str, environ: Mapping[str, str], expected: tuple[object, ...]
) -> None:
    made = account(url, **environ)

    assert expected == (
        made.host,
        made.port,
        made.sender,
        made.recipients,
        made.username,
        made.password,
    )
    assert "p%2F" not in repr(made)
    assert "password" not in repr(made)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mail://h?from=a@x", "needs to"),
        ("mail://h/o@x", "needs from"),
        ("mail:///o@x?from=a@x", "needs host"),
        ("mail://h/o@x?from=a@x&username=u", "both a user name and a password"),
        ("mail://h/ops?from=a@x", "'ops' is no mail address"),
        ("mail://h/o@x?from=a%0D%0AX@x", "no mail address"),
        ("mail://h/o@x?from=a@x&port=0", "must be a port"),
        ("mail://h/o@x?from=a@x&tls=perhaps", "true or false"),
    ],
)
def test_invalid_mail_url_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        account(url)


@pytest.mark.parametrize(
    "subject", ["a%0Ab", "a%0D%0ABcc:%20x@y", "a%00", "a%E2%80%A8"]
)
def test_subject_that_is_no_line_is_refused(subject: str, tmp_path: Path) -> None:
    url = f"mail://h/o@x?from=a@x&tls=false&subject={subject}"
    with pytest.raises(ConfigError, match="subject= must be one line"):
        NOTIFIERS.open(url, Origin("h", tmp_path))


@pytest.mark.parametrize("content", [None, ""])
def test_authority_that_cannot_be_read_is_refused(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        NOTIFIERS.open(f"mail://h/o@x?from=a@x&ca={file}", Origin("h", tmp_path))


def test_without_the_extra_its_name_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "dewy.notifiers.mail", raising=False)
    monkeypatch.setitem(sys.modules, "aiosmtplib", None)

    with pytest.raises(ImplementationUnavailable, match="pip install 'aiosmtplib>="):
        NOTIFIERS.open("mail://h/o@x?from=a@x", Origin("h", tmp_path))


@pytest.mark.usefixtures("login")
async def test_server_that_refuses_connections_is_told(unused_tcp_port: int) -> None:
    with pytest.raises(RemoteError) as refused:
        await (await at(f"127.0.0.1:{unused_tcp_port}")).send(ERROR)

    assert str(refused.value).endswith(" could not be reached: connection refused")


@pytest.mark.usefixtures("login")
async def test_unresolvable_mail_server_name_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "create_connection", unknown, raising=False)
    with pytest.raises(RemoteError) as failed:
        await (await at("mail.acme.test")).send(ERROR)

    text = "mail.acme.test:587 is a name that could not be resolved"
    assert text == str(failed.value)


async def at(address: str) -> Notifier:
    url = f"mail://{address}/ops@acme.test"
    origin = Origin("web-01", Path("/srv"))
    return await asyncio.to_thread(NOTIFIERS.open, url, origin)
