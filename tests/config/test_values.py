"""Values as operators write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.config import Address
from dewy.config.settings import OPTIONS
from dewy.config.values import (
    addresses,
    choice,
    duration,
    file_list,
    flag,
    health_path,
    interval,
    number,
    positive_duration,
    share,
    url,
    url_list,
)
from dewy.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30),
        ("0", 0),
        ("30s", 30),
        ("250ms", 0.25),
        ("5m", 300),
        ("1h", 3600),
        ("1m30s", 90),
        ("1h1m1s1ms", 3661.001),
        ("0.5", 0.5),
        ("1.5h", 5400),
    ],
)
def test_durations_are_seconds_or_have_units(text: str, expected: float) -> None:
    """A bare number is seconds, as in the original."""
    assert pytest.approx(expected) == duration(text, "--x")


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1d", "5 m", "s", "1m30", ".5", "٣", "1e3", "inf", "nan"]
)
def test_invalid_duration_is_refused(text: str) -> None:
    """The message names the option, the value and what would be right."""
    with pytest.raises(ConfigError, match=r"^--x '.*' must be a time such as 30"):
        duration(text, "--x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5%", 0.05), ("0.05", 0.05), (".5", 0.5), ("12.5%", 0.125), ("99%", 0.99)],
)
def test_shares_are_parts_or_percent(text: str, expected: float) -> None:
    """Of a whole."""
    assert pytest.approx(expected) == share(text, "--x")


@pytest.mark.parametrize(
    "text", ["", "%", "0", "0%", "1", "5", "100%", "-5%", "5 %", "1e-3", "nan", "٥%"]
)
def test_text_that_is_no_share_is_refused(text: str) -> None:
    """A bare 5 is more likely to mean percent than five times the whole."""
    with pytest.raises(ConfigError, match=r"^--x '.*' must be a share between 0 and 1"):
        share(text, "--x")


@pytest.mark.parametrize("text", ["9" * 400, "100000h"])
def test_duration_has_a_limit(text: str) -> None:
    """Nothing a timer would choke on."""
    with pytest.raises(ConfigError, match="longer than a year"):
        duration(text, "--x")


@given(st.integers(0, 10**6))
def test_units_agree(seconds: int) -> None:
    """`N`, `Ns` and `N000ms` are one time."""
    texts = [f"{seconds}", f"{seconds}s", f"{seconds}000ms"]

    assert 1 == len({duration(text, "--x") for text in texts})


@pytest.mark.parametrize("text", ["0", "0s", "0m0s"])
def test_zero_duration_is_refused_where_positive_is_required(text: str) -> None:
    """A hook without any time can only fail."""
    with pytest.raises(ConfigError, match="longer than zero"):
        positive_duration(text, "--hook-timeout")


@pytest.mark.parametrize("text", ["-1", "-5m"])
def test_negative_interval_is_the_default(text: str) -> None:
    """As in the original."""
    assert interval(text, "--interval") is None
    assert 10 == OPTIONS["interval"].read((text,), "--interval")


def test_zero_interval_is_refused() -> None:
    """An interval of zero once meant that nothing ever ran."""
    with pytest.raises(ConfigError, match=r"^--interval '0' must be longer than zero"):
        interval("0", "--interval")


def test_a_dash_alone_does_not_excuse_an_interval() -> None:
    """What follows the sign is a time all the same."""
    with pytest.raises(ConfigError):
        interval("-soon", "--interval")


@pytest.mark.parametrize(
    "text", ["0", "1001", "-1", "1.0", "1_0", " 7", "", "9" * 5000]
)
def test_numbers_are_whole_and_in_range(text: str) -> None:
    """Python's own idea of a number is wider than an operator's."""
    with pytest.raises(ConfigError, match="must be a whole number from 1 to 1000"):
        number(1, 1000)(text, "--keep")


def test_number_is_read() -> None:
    """The limits belong to the range."""
    assert [1, 1000] == [number(1, 1000)(text, "--keep") for text in ("1", "1000")]


def test_words_are_chosen_in_any_case() -> None:
    """`INFO`, as the original's users wrote it."""
    level = choice("info", "warn", warning="warn")

    assert ["info", "warn", "warn"] == [
        level(word, "-l") for word in ("INFO", "Warn", "WARNING")
    ]
    with pytest.raises(ConfigError, match=r"'loud' must be one of info, warn$"):
        level("loud", "--log-level")


def test_flag_takes_the_usual_words() -> None:
    """In the environment a flag needs a value."""
    assert [True, False] == [flag(word, "DEWY_ONCE") for word in ("1", "no")]
    with pytest.raises(ConfigError, match="DEWY_ONCE"):
        flag("maybe", "DEWY_ONCE")


@pytest.mark.parametrize("text", ["ghr", "ghr:/x", "ghr://", "://x"])
def test_url_has_a_scheme(text: str) -> None:
    """`--notifier slack` is told to be no URL, where it once crashed."""
    with pytest.raises(ConfigError, match="--notifier"):
        url_list(("mem://x", text), "--notifier")


def test_password_in_a_malformed_url_is_not_shown() -> None:
    """An error message ends up in a log."""
    with pytest.raises(ConfigError) as caught:
        url("redis://me:hunter2@host:port/", "--cache")

    assert "--cache" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["health", "/a b", "/ä", "/a\r\nX: y"])
def test_health_path_is_a_path(text: str) -> None:
    """It goes into a request line as it is."""
    with pytest.raises(ConfigError, match="must start with /"):
        health_path(text, "--health-path")


def names(*texts: str) -> list[str]:
    return [address.name for address in addresses(texts, "--port")]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["8080"], ["8080"]),
        (["9000, 8080 ,,"], ["8080", "9000"]),
        (["8082-8084", "8080"], ["8080", "8082", "8083", "8084"]),
        (["10000", "9"], ["9", "10000"]),
        (["8080", "8080-8081", "8080"], ["8080", "8081"]),
        (["127.0.0.1:8080"], ["127.0.0.1:8080"]),
        (["[::]:8080", "8080"], ["8080", "[::]:8080"]),
        (["[0:0::1]:80"], ["[::1]:80"]),
        (["0.0.0.0:8080,8080"], ["8080"]),
        ([""], []),
    ],
)
def test_ports_are_lists_and_ranges(texts: list[str], expected: list[str]) -> None:
    """Each once, in the order of their numbers."""
    assert expected == names(*texts)


def test_bare_port_is_the_ipv4_wildcard() -> None:
    """As programs that were started by the original expect."""
    assert (Address("8080", "0.0.0.0", 8080),) == addresses(("8080",), "--port")
    assert (Address("[::]:80", "::", 80),) == addresses(("[::]:80",), "--port")


def test_range_holds_101_ports_at_most() -> None:
    """One more is a slip of the finger."""
    assert 101 == len(names("8000-8100"))
    with pytest.raises(ConfigError, match="more than 101"):
        names("8000-8101")


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "65536",
        "http",
        "8080-",
        "-8080",
        "1-2-3",
        "8081-8080",
        "localhost:80",
        "127.0.0.1:",
        ":80",
        "::1:80",
        "[127.0.0.1]:80",
        "127.0.0.1:80-81",
        "8_0",
        "٨٠",
    ],
)
def test_invalid_port_in_list_is_refused_and_named(text: str) -> None:
    """The item is named, not only the list it stands in."""
    with pytest.raises(ConfigError, match="--port") as caught:
        names(f"8080,{text}")

    assert repr(text) in str(caught.value)


@given(st.lists(st.integers(1, 65535), max_size=20))
def test_ports_are_sorted_and_unique(ports: list[int]) -> None:
    """Whatever the order and however often."""
    expected = [str(port) for port in sorted(set(ports))]

    assert expected == names(",".join(map(str, ports)))


def test_files_are_taken_in_order() -> None:
    """Each may have a comma or a blank in its name."""
    assert ("b, c", "a") == file_list("a key")(("b, c", "a"), "--verify-signature")


@pytest.mark.parametrize("texts", [("",), ("a", " ")])
def test_blank_file_is_refused(texts: tuple[str, ...]) -> None:
    """A variable that is not set in a script must not switch verification off."""
    with pytest.raises(ConfigError, match=r"^--verify-signature .* a file with a key$"):
        file_list("a key")(texts, "--verify-signature")
