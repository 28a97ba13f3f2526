"""Options together: what they add up to, and which exclude each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dewy.containers.options.arguments import Builder, build
from dewy.containers.options.argv import given
from dewy.errors import ConfigError

Drafted = Callable[..., Builder]


@pytest.fixture
def drafted(tmp_path: Path) -> Drafted:
    def drafted(*words: str) -> Builder:
        return build(given(words), {"SET": "ours"}, tmp_path)

    return drafted


def test_repeated_option_overrides_or_accumulates(drafted: Drafted) -> None:
    """As the table says."""
    body = drafted(
        *("-m", "1g", "-m", "2g", "--dns", "1.1.1.1", "--dns", "::1"),
        *("-l", "a=1", "-l", "b", "-l", "a=2"),
        *("--ulimit", "nproc=1", "--ulimit", "core=2", "--ulimit", "nproc=3"),
    ).body

    assert 2 * 1024**3 == body["HostConfig"]["Memory"]
    assert ["1.1.1.1", "::1"] == body["HostConfig"]["Dns"]
    assert {"a": "2", "b": ""} == body["Labels"]
    assert [("core", 2), ("nproc", 3)] == [
        (each["Name"], each["Hard"]) for each in body["HostConfig"]["Ulimits"]
    ]


def test_variables_of_files_come_first(drafted: Drafted, tmp_path: Path) -> None:
    """So that single ones replace them, wherever they stand."""
    (tmp_path / "env").write_text("A=file\nB=file\n")
    made = drafted("-e", "A=flag", "-e", "C=1", "--env-file", "env", "-e", "C=2")

    assert ["A=flag", "B=file", "C=2"] == made.body["Env"]


def test_unset_variable_is_told_once(drafted: Drafted) -> None:
    """A container that lacks it fails in its own words, much later."""
    made = drafted("-e", "SET", "-e", "UNSET", "-e", "UNSET")

    assert ["SET=ours", "UNSET"] == made.body["Env"]
    assert ["run option -e 'UNSET': dewy has no such variable to pass on"] == (
        made.cautions
    )


def test_ineffective_option_is_cautioned_once(drafted: Drafted) -> None:
    """Unit files that were written for the original go on working."""
    made = drafted("--restart", "always", "--restart=no", "-q")

    assert {} == made.body
    assert [
        "run option --restart has no effect: dewy restarts replicas",
        "run option -q has no effect: dewy pulls images itself",
    ] == made.cautions


def test_log_driver_that_keeps_nothing_is_told(drafted: Drafted) -> None:
    """Failure notices are shorter for it."""
    assert [
        "without a container's last lines" in each
        for each in drafted("--log-driver", "none").cautions
    ] == [True]


def test_names_are_taken_out(drafted: Drafted) -> None:
    """They are not a part of what is created, but of how."""
    made = drafted(
        *("--name", "a", "--name=b", "--network", "shop", "--net=shop"),
        *("--network-alias", "x", "--network-alias", "y", "--platform", "linux/arm64"),
    )
    assert {} == made.body
    words = {"name": "b", "network": "shop", "platform": "linux/arm64"}
    assert (words, ["x", "y"]) == (made.words, made.aliases)


def test_volumes_go_where_they_belong(drafted: Drafted, tmp_path: Path) -> None:
    """A directory is bound, an anonymous one is the container's own."""
    body = drafted(
        *("-v", "./d:/a", "-v", "/b", "--tmpfs", "/c:size=1m", "--mount", "target=/e")
    ).body

    assert [f"{tmp_path}/d:/a"] == body["HostConfig"]["Binds"]
    assert {"/b": {}} == body["Volumes"]
    assert {"/c": "size=1m"} == body["HostConfig"]["Tmpfs"]
    assert [{"Type": "volume", "Target": "/e"}] == body["HostConfig"]["Mounts"]


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (("-v", "a1:/x", "--tmpfs", "/x/"), "must not mount '/x/' a second time"),
        (("-v", "/x", "--mount", "target=/x"), "a second time"),
        (("--memory-swap", "1g"), "needs --memory"),
        (("--memory-swap", "-1"), "needs --memory"),
        (("-m", "2g", "--memory-swap", "1g"), "not be below --memory"),
        (("-m", "1g", "--memory-reservation", "2g"), "not be above --memory"),
        (("--cpus", "1", "--cpu-quota", "5"), "--cpus excludes"),
        (("--no-healthcheck", "--health-retries", "3"), "--no-healthcheck excludes"),
        (("--network", "a", "--network", "b"), "one network, not 'b' as well"),
        (("--network", "host"), "--network 'host' cannot be used: its replicas"),
        (("--network=container:db",), "cannot be used"),
        (("--net", "name=a,ip=1.2.3.4"), "must be letters"),
        (("-l", "dewy.app=x"), "what begins with dewy. is dewy's own"),
        (("-ldewy.app",), "'dewy.app' cannot be used"),
        (("--label", "=secret"), "must be KEY=VALUE, or KEY"),
        (("--runtime", "podman"), "podman must stand before --"),
        (("--user", "a b"), "NAME|UID[:GROUP|GID]"),
        (("--stop-timeout", "-1"), "from 0 to"),
        (("--health-cmd", ""), "must not be empty"),
        (("--log-opt", "secret"), "must be KEY=VALUE"),
        (("-e", "=secret"), "must be NAME=VALUE"),
    ],
)
def test_invalid_or_conflicting_options_are_refused(
    drafted: Drafted, words: tuple[str, ...], right: str
) -> None:
    """Before an engine refuses it, or worse."""
    with pytest.raises(ConfigError) as caught:
        drafted(*words)

    assert str(caught.value).startswith("run option -")
    assert right in str(caught.value)
    assert "secret" not in str(caught.value)


def test_limits_that_agree_are_taken(drafted: Drafted) -> None:
    """Zero and minus one are no limits."""
    host = drafted("-m", "1g", "--memory-swap", "-1", "--memory-reservation", "1g").body

    assert -1 == host["HostConfig"]["MemorySwap"]


def test_check_can_be_switched_off(drafted: Drafted) -> None:
    """Or left on."""
    assert {"Healthcheck": {"Test": ["NONE"]}} == drafted("--no-healthcheck").body
    assert {} == drafted("--no-healthcheck=false").body


@pytest.mark.parametrize("value", ["5", "5m", "6291455"])
def test_memory_below_engine_minimum_is_refused(drafted: Drafted, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        drafted("--memory", value)

    assert f"run option --memory {value} must be 6m or more, or 0 for any" == str(
        caught.value
    )


@pytest.mark.parametrize("value", ["0", "6m"])
def test_memory_from_the_least_on_is_taken(drafted: Drafted, value: str) -> None:
    assert "Memory" in drafted("--memory", value).body["HostConfig"]
