"""The options of container mode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.config import PortMapping
from dewy.config.container import container_name, port_mappings, replicas
from dewy.errors import ConfigError


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("8080",), [(8080, 0)]),
        (("8080:80",), [(8080, 80)]),
        ((" 8443:443 ", "8080:80"), [(8080, 80), (8443, 443)]),
        (("8080:80", "8081:80"), [(8080, 80), (8081, 80)]),
        (("", " "), []),
        (("65535:1",), [(65535, 1)]),
        (("127.0.0.1:8080:80",), [(8080, 80, "127.0.0.1")]),
        (("[0::1]:8080:80",), [(8080, 80, "::1")]),
        (("0.0.0.0:80:80", "[::]:80:81"), [(80, 80, "0.0.0.0"), (80, 81, "::")]),
        (
            ("[::1]:8080:80", "127.0.0.1:8080:80"),
            [(8080, 80, "127.0.0.1"), (8080, 80, "::1")],
        ),
    ],
)
def test_mapping_is_proxy_and_container(
    texts: tuple[str, ...], expected: list[tuple[Any, ...]]
) -> None:
    """Without the second the image tells the port; blanks say nothing."""
    found = port_mappings(texts, "--port")

    assert tuple(PortMapping(*pair) for pair in expected) == found


@pytest.mark.parametrize(
    "text",
    [
        "8080,8081",
        "8080-8083",
        "127.0.0.1:8080",
        "127.0.0.1::80",
        "127.0.0.1:8080:",
        "[::1]:8080",
        "::1:8080:80",
        "[127.0.0.1]:8080:80",
        "[::1:8080:80",
        "127.0.0.300:8080:80",
        "localhost:8080:80",
        "1:2:3",
        "8080:",
        ":80",
        "http",
        "8080:80/tcp",
        "8080:80/udp",
        "-1",
        "80 80",
        "+80",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    """With the right ones beside them."""
    with pytest.raises(ConfigError, match="must be PROXY or PROXY:CONTAINER") as caught:
        port_mappings((text,), "--port")

    assert f"--port {text!r}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["0", "65536", "80:0", "80:65536", "0:80", "٣", "9" * 20, "127.0.0.1:65536:80"],
)
def test_ports_have_limits(text: str) -> None:
    """Those of TCP."""
    with pytest.raises(ConfigError, match=r"must hold ports? from 1 to 65535"):
        port_mappings((text,), "--port")


def test_port_of_the_proxy_stands_once() -> None:
    """It cannot lead to two places."""
    with pytest.raises(ConfigError, match="once, not 8080 twice"):
        port_mappings(("8080:80", "8080:81"), "--port")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("8080:80", "127.0.0.1:8080:81"),
        ("[::]:8080:80", "[::1]:8080:80"),
        ("127.0.0.1:8080:80", "0.0.0.0:8080:80"),
    ],
)
def test_address_that_includes_another_is_refused(first: str, second: str) -> None:
    with pytest.raises(ConfigError, match="one of which includes the other"):
        port_mappings((first, second), "--port")


@given(st.text(max_size=12))
def test_port_mapping_is_parsed_or_raises_single_line_error(text: str) -> None:
    """Nothing else comes of whatever is typed."""
    refused = ""
    try:
        port_mappings((text,), "--port")
    except ConfigError as exc:
        refused = str(exc)

    assert "\n" not in refused


@pytest.mark.parametrize(
    ("text", "expected"), [("3", 3), ("1", 1), ("007", 7), ("1000", 1000)]
)
def test_replicas_are_counted(text: str, expected: int) -> None:
    assert expected == replicas(text, "--replicas")


@pytest.mark.parametrize("text", ["", "three", "1.5", "1001", "--3", "0", "-7"])
def test_replicas_are_a_number(text: str) -> None:
    """Of which there is a most."""
    with pytest.raises(ConfigError, match=r"--replicas .* from 1 to 1000"):
        replicas(text, "--replicas")


@pytest.mark.parametrize("text", ["", "a", "shop", "Shop_1.x-y", "0"])
def test_valid_container_name_is_accepted(text: str) -> None:
    """Containers are called by it."""
    assert text == container_name(text, "--name")


@pytest.mark.parametrize("text", ["-a", ".a", "a b", "a/b", "ä", "a\n", "a" * 129])
def test_other_names_are_refused(text: str) -> None:
    """Before the engine does."""
    with pytest.raises(
        ConfigError, match=r"--name .* must begin with a letter or digit"
    ):
        container_name(text, "--name")
