"""Proxies of gRPC channels."""

from __future__ import annotations

import pytest

from tests.needs import found, needs

if found("grpc"):
    from dewy.remotes.grpc.endpoint import proxy_options

pytestmark = needs("grpc")


def test_channel_follows_the_rules_of_all_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")

    assert (("grpc.http_proxy", "http://proxy.test:3128"),) == proxy_options("a.test:1")
    for near in ("10.1.2.3:443", "localhost:443", "[::1]:443"):
        assert (("grpc.enable_http_proxy", 0),) == proxy_options(near)
