"""`NO_PROXY`, as Go's net/http reads it."""

from __future__ import annotations

import pytest

from dewy.remotes.env_proxy import bypassed, named


@pytest.mark.parametrize(
    ("exempt", "host", "port", "expected"),
    [
        ("", "acme.test", 443, False),
        ("*", "acme.test", 443, True),
        ("x, * ,y", "acme.test", 443, True),
        # This host, whatever stands there.
        ("", "localhost", 80, True),
        ("", "127.0.0.1", 80, True),
        ("", "127.8.9.1", 80, True),
        ("", "::1", 80, True),
        ("", "[::1]", 80, True),
        ("", "::ffff:127.0.0.1", 80, True),
        ("", "localhost.acme.test", 80, False),
        # Names stand for those below them.
        ("acme.test", "acme.test", 443, True),
        ("acme.test", "www.acme.test", 443, True),
        ("acme.test", "notacme.test", 443, False),
        ("ACME.test", "www.Acme.Test", 443, True),
        (".acme.test", "www.acme.test", 443, True),
        (".acme.test", "acme.test", 443, False),
        ("*.acme.test", "www.acme.test", 443, True),
        ("*.acme.test", "acme.test", 443, False),
        (" other.test , acme.test ", "acme.test", 443, True),
        ("bücher.test", "xn--bcher-kva.test", 443, True),
        # Ports.
        ("acme.test:443", "acme.test", 443, True),
        ("acme.test:443", "www.acme.test", 443, True),
        ("acme.test:80", "acme.test", 443, False),
        (".acme.test:8443", "www.acme.test", 8443, True),
        ("10.1.2.3:80", "10.1.2.3", 80, True),
        ("10.1.2.3:80", "10.1.2.3", 443, False),
        ("[fd00::1]:443", "fd00::1", 443, True),
        ("[fd00::1]:443", "fd00::1", 80, False),
        (":443", "acme.test", 443, False),
        # Addresses and networks; names are never looked up.
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.1/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/99", "10.1.2.3", 80, False),
        ("10.0.0.0/8", "acme.test", 80, False),
        ("fd00::/8", "fd12::9", 443, True),
        ("fd00::/8", "10.1.2.3", 443, False),
        ("fd00::1", "fd00::1", 443, True),
        ("[fd00::1]", "fd00::1", 443, True),
        (".2.3", "10.1.2.3", 80, False),
    ],
)
def test_no_proxy_matching_follows_go_rules(
    exempt: str, host: str, port: int, expected: bool
) -> None:
    assert expected == bypassed(host, port, exempt)


@pytest.mark.parametrize(
    ("scheme", "environ", "expected"),
    [
        ("https", {"HTTPS_PROXY": "up", "https_proxy": "low"}, "up"),
        ("https", {"HTTPS_PROXY": "", "https_proxy": "low"}, "low"),
        ("https", {"HTTP_PROXY": "plain", "ALL_PROXY": "all"}, ""),
        ("http", {"HTTP_PROXY": "plain", "HTTPS_PROXY": "tls"}, "plain"),
        ("http", {"HTTP_PROXY": "plain", "REQUEST_METHOD": "GET"}, ""),
        ("https", {"HTTPS_PROXY": "tls", "NO_PROXY": "acme.test:443"}, ""),
        ("http", {"HTTP_PROXY": "plain", "no_proxy": "acme.test:443"}, "plain"),
        ("https", {"HTTPS_PROXY": "tls", "NO_PROXY": "x", "no_proxy": "*"}, "tls"),
        ("unix", {"HTTPS_PROXY": "tls"}, ""),
    ],
)
def test_variable_that_counts(
    scheme: str, environ: dict[str, str], expected: str
) -> None:
    assert expected == named(scheme, "acme.test", None, environ)
