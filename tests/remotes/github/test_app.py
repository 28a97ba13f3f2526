from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from dewy.errors import ConfigError, ImplementationUnavailable
from dewy.remotes.github.account import App, GitHubAccount
from tests.standins.github_app import LONGEST, Apps


@pytest.fixture(scope="module")
def apps() -> Apps:
    return Apps(set())


def environ(key: str) -> dict[str, str]:
    """What an operator sets."""
    return {
        "GITHUB_APP_ID": "12",
        "GITHUB_APP_INSTALLATION_ID": "34",
        "GITHUB_APP_PRIVATE_KEY": key,
    }


@pytest.mark.parametrize(
    "form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8]
)
def test_key_may_have_either_form(apps: Apps, form: PrivateFormat) -> None:
    """PKCS#1, as GitHub gives it, or PKCS#8."""
    app = App.from_environment(environ(apps.pem(form)))

    assert apps.key.private_numbers() == app.key.private_numbers()


def test_key_with_escaped_newlines_is_accepted(apps: Apps) -> None:
    """As in files of environment variables."""
    app = App.from_environment(environ(apps.pem().replace("\n", "\\n")))

    assert apps.key.private_numbers() == app.key.private_numbers()


def test_key_may_be_in_a_file(apps: Apps, tmp_path: Path) -> None:
    """The text counts first."""
    path = tmp_path / "key.pem"
    path.write_text(apps.pem())
    named = {**environ(""), "GITHUB_APP_PRIVATE_KEY_PATH": str(path)}

    app = App.from_environment(named)

    assert apps.key.private_numbers() == app.key.private_numbers()


def test_jwt_lifetime_tolerates_clock_skew(apps: Apps) -> None:
    """With minutes to spare on both sides, for clocks that differ."""
    app = App.from_environment(environ(apps.pem()))

    claims = apps._verified(app.jwt(1_000_000.9))

    assert {"iss": "12", "iat": 999_940, "exp": 1_000_300} == claims
    assert claims["exp"] - 1_000_000 <= LONGEST / 2


def test_app_comes_before_a_token(apps: Apps) -> None:
    """Who sets up an App means it."""
    account = GitHubAccount.from_environment(
        {**environ(apps.pem()), "GH_TOKEN": "ghp_1"}
    )

    assert isinstance(account.credentials, App)


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        ("GITHUB_APP_INSTALLATION_ID", "GITHUB_APP_INSTALLATION_ID"),
        ("GITHUB_APP_PRIVATE_KEY", "GITHUB_APP_PRIVATE_KEY_PATH"),
    ],
)
def test_incomplete_app_is_refused(apps: Apps, missing: str, wanted: str) -> None:
    """There is no falling back to a token that may see something else."""
    incomplete = {**environ(apps.pem()), "GH_TOKEN": "ghp_1"}
    del incomplete[missing]

    with pytest.raises(ConfigError, match=wanted):
        GitHubAccount.from_environment(incomplete)


def test_missing_key_file_is_named(tmp_path: Path) -> None:
    """With the reason."""
    path = tmp_path / "key.pem"
    named = {**environ(""), "GITHUB_APP_PRIVATE_KEY_PATH": str(path)}

    with pytest.raises(ConfigError, match=f"{path} could not be read: No such file"):
        App.from_environment(named)


def test_key_that_is_none_is_refused(apps: Apps) -> None:
    """When the URL is opened, and without showing it."""
    encrypted = apps.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    ).decode()
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )

    for text in ("rubbish", apps.pem()[:400], encrypted, other.decode()):
        with pytest.raises(ConfigError, match="RSA key") as caught:
            App.from_environment(environ(text))
        assert text not in str(caught.value)


def test_missing_dependency_names_the_extra(
    apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the command to type."""
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("cryptography"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="cryptography")
        return real(name, *args)

    pem = apps.pem()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImplementationUnavailable, match="pip install 'cryptography>="):
        App.from_environment(environ(pem))


def test_key_is_not_shown(apps: Apps) -> None:
    """Not even as an object."""
    assert "key" not in repr(App.from_environment(environ(apps.pem())))


def test_key_file_is_read_once(apps: Apps, tmp_path: Path) -> None:
    """Its directory may be gone, or hang, when the next artifact is fetched."""
    path = tmp_path / "key.pem"
    path.write_text(apps.pem())
    named = {**environ(""), "GITHUB_APP_PRIVATE_KEY_PATH": str(path)}
    App.from_environment(named)
    path.unlink()

    assert App.from_environment(named)
