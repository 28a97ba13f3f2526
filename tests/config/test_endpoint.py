"""Addresses of stream sockets."""

from __future__ import annotations

import socket

import pytest

from dewy.config import BackendAddress, Endpoint, HostName
from dewy.config.endpoint import parse_backend
from dewy.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", Endpoint("127.0.0.1", 80)),
        ("[::1]:80", Endpoint("::1", 80)),
        ("[0:0::1]:80", Endpoint("::1", 80)),
        ("80", Endpoint("", 80)),
        ("unix:/run/x", Endpoint(path="/run/x")),
    ],
)
def test_address_is_understood(text: str, expected: Endpoint) -> None:
    """And shown in its canonical form, which means the same."""
    found = Endpoint.parse(text, "--listen", anywhere=True)
    assert expected == found
    assert found == Endpoint.parse(str(found), "--listen", anywhere=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        ":80",
        "localhost:80",
        "::1:80",
        "[127.0.0.1]:80",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:http",
        "127.0.0.1:８０",
        "unix:relative",
        "unix:/" + "x" * 107,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """The error names what it was given for, and what would be right."""
    with pytest.raises(ConfigError, match="--backend"):
        Endpoint.parse(text, "--backend")


@pytest.mark.parametrize(
    ("endpoint", "family", "address"),
    [
        (Endpoint("127.0.0.1", 80), socket.AF_INET, ("127.0.0.1", 80)),
        (Endpoint("::1", 80), socket.AF_INET6, ("::1", 80)),
        (Endpoint("", 80), socket.AF_INET6, ("::", 80)),
        (Endpoint(path="/run/x"), socket.AF_UNIX, "/run/x"),
    ],
)
def test_kernel_is_told_in_its_own_words(
    endpoint: Endpoint, family: int, address: object
) -> None:
    """Family and address, as the socket module has them."""
    assert (family, address) == (endpoint.family, endpoint.address)


def test_endpoint_of_bound_socket_is_its_address() -> None:
    """A dual-stack one is everywhere."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert f"127.0.0.1:{sock.getsockname()[1]}" == str(Endpoint.of(sock))
    with socket.create_server(
        ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
    ) as sock:
        assert str(sock.getsockname()[1]) == str(Endpoint.of(sock))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:80", HostName("localhost", 80)),
        ("app-1.my_net.example.:8080", HostName("app-1.my_net.example.", 8080)),
        ("127.0.0.1:80", Endpoint("127.0.0.1", 80)),
        ("[::1]:80", Endpoint("::1", 80)),
        ("unix:/run/x", Endpoint(path="/run/x")),
    ],
)
def test_backend_may_have_a_name(text: str, expected: BackendAddress) -> None:
    assert expected == parse_backend(text, "--backend")
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    ["80", ":80", "300.1.2.3:80", "-x:80", "a..b:80", "a b:80", "x:0", "http://x"],
)
def test_other_names_of_backends_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--backend"):
        parse_backend(text, "--backend")
