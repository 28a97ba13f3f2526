"""Which server a URL names, and what it is trusted by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dewy import urls
from dewy.errors import ConfigError
from tests.needs import needs
from tests.standins.certificates import Authority

pytestmark = needs("grpc")


def endpoint(url: str):
    from dewy.remotes.grpc.endpoint import OPTIONS, GRPCTarget

    parts = urls.split(url)
    return GRPCTarget.of(parts, urls.options(parts, OPTIONS))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("grpc://registry.example.com", "registry.example.com:443"),
        ("grpc://registry.example.com/", "registry.example.com:443"),
        ("grpc://registry.example.com:9000", "registry.example.com:9000"),
        ("grpc://my_registry:9000", "my_registry:9000"),
        ("grpc://10.0.0.5:9000", "10.0.0.5:9000"),
        ("grpc://[::1]:9000", "[::1]:9000"),
        ("grpc://[fd00::5]", "[fd00::5]:443"),
    ],
)
def test_host_may_be_a_name_or_an_address(url: str, address: str) -> None:
    """With a port or without."""
    assert address == endpoint(url).address
    assert f"grpc://{address}" == str(endpoint(url))


def test_connection_is_encrypted_unless_told_otherwise() -> None:
    assert endpoint("grpc://host").tls
    assert not endpoint("grpc://host?no-tls=true").tls
    assert not endpoint("grpc://host?NO-TLS=1").tls


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("grpc://user:hunter2@host", r"grpc://HOST\[:PORT\]"),
        ("grpc://host/path", r"grpc://HOST\[:PORT\]"),
        ("grpc://:9000", r"grpc://HOST\[:PORT\]"),
        ("grpc://host?no-tls=1&ca=x.pem", "ca= has no use with no-tls"),
        ("grpc://host?cert=x.pem", "cert= and key= belong together"),
        ("grpc://host?no-tls=perhaps", "true or false"),
        ("grpc://host?tls=1", "no option 'tls'"),
    ],
)
def test_invalid_url_is_rejected_with_password_hidden(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        endpoint(url)

    assert "hunter2" not in str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Path]:
    """Good files, and some that are not."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair = ours.certify("client")
    (tmp_path / "empty").touch()
    return {
        "ca": ours.cert,
        "cert": pair.cert,
        "key": pair.key,
        "another": other.certify("other-client").key,
        "empty": tmp_path / "empty",
        "gone": tmp_path / "gone",
    }


async def test_files_are_judged_before_anything_starts(
    files: Mapping[str, Path],
) -> None:
    query = f"ca={files['ca']}&cert={files['cert']}&key={files['key']}"
    good = endpoint(f"grpc://host?{query}")
    good.validate()

    keys = await good.keys()
    assert files["ca"].read_bytes() == keys.roots
    assert files["key"].read_bytes() == keys.key


@pytest.mark.parametrize(
    ("ca", "cert", "key", "reason"),
    [
        ("gone", "cert", "key", "gone: No such file"),
        ("empty", "cert", "key", "empty holds no certificates"),
        ("ca", "gone", "key", "No such file"),
        ("ca", "cert", "gone", "No such file"),
        ("ca", "key", "key", "client.key is no certificate"),
        ("ca", "cert", "another", "client.crt is no certificate .* fits the key"),
    ],
)
def test_file_that_will_not_do_is_named(
    files: Mapping[str, Path], ca: str, cert: str, key: str, reason: str
) -> None:
    query = f"ca={files[ca]}&cert={files[cert]}&key={files[key]}"

    with pytest.raises(ConfigError, match=reason):
        endpoint(f"grpc://host?{query}").validate()


def test_system_roots_are_those_openssl_would_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file, or in a directory under names made of hashes."""
    from dewy.remotes.grpc.endpoint import system_roots

    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    assert authority.cert.read_bytes() == system_roots()

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
    (tmp_path / "certs").mkdir()
    assert system_roots() is None
    (tmp_path / "certs" / "0a1b2c3d.0").symlink_to(authority.cert)
    (tmp_path / "certs" / "README").write_text("no certificate")
    assert authority.cert.read_bytes() == system_roots()


async def test_plain_connection_reads_no_files() -> None:
    from dewy.remotes.grpc.endpoint import Keys

    assert Keys() == await endpoint("grpc://host?no-tls=true").keys()
