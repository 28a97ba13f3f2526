"""Values of options of `docker run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dewy.containers.options import quantities
from dewy.errors import ConfigError

MIB = 1024**2


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (quantities.size, "0", 0),
        (quantities.size, "512", 512),
        (quantities.size, "512m", 512 * MIB),
        (quantities.size, "1.5g", 1536 * MIB),
        (quantities.size, "64 KiB", 65536),
        (quantities.size, "1kb", 1024),
        (quantities.size, "2T", 2 * MIB**2),
        (quantities.size, "1p", MIB**2 * 1024),
        (quantities.swap, "-1", -1),
        (quantities.swap, "1m", MIB),
        (quantities.cpus, "1.5", 1_500_000_000),
        (quantities.cpus, ".25", 250_000_000),
        (quantities.cpus, "0", 0),
        (quantities.nanoseconds, "1m30s", 90 * 10**9),
        (quantities.nanoseconds, "250ms", 250_000_000),
        (quantities.address, "::1", "::1"),
        (quantities.extra_host, "db:10.0.0.1", "db:10.0.0.1"),
        (quantities.extra_host, "db=10.0.0.1", "db:10.0.0.1"),
        (quantities.extra_host, "six:::1", "six:::1"),
        (quantities.extra_host, "six=[::1]", "six:::1"),
        (quantities.extra_host, "gw:host-gateway", "gw:host-gateway"),
        (quantities.pair, "a=b=c", ("a", "b=c")),
        (quantities.capability, "all", "ALL"),
        (quantities.capability, "net_raw", "CAP_NET_RAW"),
        (quantities.capability, "CAP_CHOWN", "CAP_CHOWN"),
        (quantities.flag, "T", True),
        (quantities.flag, "0", False),
        (quantities.absolute, "/srv", "/srv"),
        (quantities.whole(-1, 5), "-1", -1),
    ],
)
def test_value_is_counted_as_engines_do(
    read: Callable[[str, str], Any], value: str, expected: object
) -> None:
    """Sizes in units of 1024, processors in billionths, times in nanoseconds."""
    assert expected == read(value, "it")


@pytest.mark.parametrize(
    ("read", "value", "right"),
    [
        (quantities.size, "512x", "a size such as 512m"),
        (quantities.size, "", "a size"),
        (quantities.size, "-1", "a size"),
        (quantities.size, "99999p", "below 8 EiB"),
        (quantities.cpus, "two", "a number such as 1.5"),
        (quantities.cpus, "1.0000000001", "a number"),
        (quantities.cpus, "1e3", "a number"),
        (quantities.nanoseconds, "soon", "a time such as"),
        (quantities.address, "dns.example", "an IP address"),
        (quantities.extra_host, "db", "NAME:IP"),
        (quantities.extra_host, ":1.2.3.4", "NAME:IP"),
        (quantities.extra_host, "db:", "NAME:IP"),
        (quantities.extra_host, "db:x", "an IP address"),
        (quantities.pair, "key", "KEY=VALUE"),
        (quantities.pair, "=secret", "KEY=VALUE"),
        (quantities.capability, "NET-RAW", "a capability"),
        (quantities.flag, "yes", "true or false"),
        (quantities.absolute, "srv", "an absolute path"),
        (quantities.whole(1, 5), "6", "a whole number from 1 to 5"),
        (quantities.text, "", "not be empty"),
        (quantities.ulimit, "nofile", "NAME=SOFT[:HARD]"),
        (quantities.ulimit, "files=1", "NAME=SOFT[:HARD]"),
        (quantities.ulimit, "nofile=1:2:3", "NAME=SOFT[:HARD]"),
        (quantities.ulimit, "nofile=1:-2", "NAME=SOFT[:HARD]"),
        (quantities.ulimit, "nofile=2:1", "soft limit"),
        (quantities.ulimit, "nofile=-1:1", "soft limit"),
        (quantities.gpus, "some", "all, a number"),
        (quantities.gpus, "count=x", "count with a number"),
        (quantities.gpus, '"device=0', "quotes"),
    ],
)
def test_invalid_value_error_names_option_and_valid_form(
    read: Callable[[str, str], Any], value: str, right: str
) -> None:
    """And where it was given."""
    with pytest.raises(ConfigError) as caught:
        read(value, "run option --it")

    assert str(caught.value).startswith("run option --it ")
    assert right in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "soft", "hard"),
    [("nofile=1024", 1024, 1024), ("nofile=1:2", 1, 2), ("nofile=5:-1", 5, -1)],
)
def test_limit_has_a_soft_and_a_hard_side(value: str, soft: int, hard: int) -> None:
    """Which are the same if one is given."""
    expected = {"Name": "nofile", "Soft": soft, "Hard": hard}

    assert ("nofile", expected) == quantities.ulimit(value, "it")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("all", {"Count": -1}),
        ("2", {"Count": 2}),
        ('"device=0,1"', {"Count": 0, "DeviceIDs": ["0", "1"]}),
        ("driver=nvidia", {"Count": 1, "Driver": "nvidia"}),
        (
            'count=1,"capabilities=utility,compute"',
            {"Count": 1, "Capabilities": [["utility", "compute", "gpu"]]},
        ),
    ],
)
def test_devices_are_counted_or_named(value: str, expected: dict[str, Any]) -> None:
    """As for `docker run --gpus`."""
    plain = {"Driver": "", "Count": 0, "Capabilities": [["gpu"]]}

    assert {**plain, **expected} == quantities.gpus(value, "it")
