"""What an engine is asked to create, and how one such wish is told from another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.containers.options.arguments import RunOptions, parse
from dewy.containers.options.run_options import RUN_OPTIONS, SHORTS
from dewy.errors import ConfigError

ROOT = Path("/srv/app")
DIGEST = "sha256:" + "a" * 64
SECRET = "hunter2-and-more"

flags = st.sampled_from(
    [f"--{name}" for name in RUN_OPTIONS] + [f"-{short}" for short in SHORTS]
)
values = st.one_of(st.text(max_size=8), st.sampled_from(["1", "a=b", "/x", "x:/y"]))
words = st.one_of(
    flags,
    values,
    st.builds("{}={}".format, flags, values),
    st.builds("{}{}".format, flags, values),
)
variables = st.dictionaries(
    st.from_regex(r"[A-Z]{1,4}", fullmatch=True), st.text("ab=", max_size=3), max_size=5
)


def parsed(*words: str, **environ: str) -> RunOptions:
    return parse(words, environ, ROOT)


def fingerprint(*words: str, **environ: str) -> str:
    return parsed(*words, **environ).fingerprint(DIGEST, (), (80,))


def test_nothing_asked_is_the_image_alone() -> None:
    """With no command of its own, and no restarts by the engine."""
    assert {
        "Image": "host/app@sha256:x",
        "Labels": {},
        "ExposedPorts": {},
        "HostConfig": {"PortBindings": {}, "RestartPolicy": {"Name": "no"}},
    } == parsed().spec(image="host/app@sha256:x")


def test_ports_are_published_on_loopback() -> None:
    """On ports that the engine chooses."""
    spec = parsed().spec(image="i", ports=(80, 443))

    assert {"80/tcp": {}, "443/tcp": {}} == spec["ExposedPorts"]
    assert {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "443/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    } == spec["HostConfig"]["PortBindings"]


def test_labels_of_dewy_join_those_of_the_operator() -> None:
    """Neither is lost."""
    spec = parsed("-l", "a=b").spec(image="i", labels={"dewy.app": "x"})

    assert {"a": "b", "dewy.app": "x"} == spec["Labels"]


def test_command_is_verbatim() -> None:
    """Word by word."""
    assert ["sh", "-c", "x y"] == parsed().spec(image="i", command=("sh", "-c", "x y"))[
        "Cmd"
    ]


@pytest.mark.parametrize(
    ("given", "expected"), [((), "dewy-shop"), (("--network", "mine"), "mine")]
)
def test_network_of_the_operator_comes_first(
    given: tuple[str, ...], expected: str
) -> None:
    """Aliases are those of the network that it is."""
    options = parsed(*given, "--network-alias", "web")
    spec = options.spec(image="i", network="dewy-shop")

    assert expected == spec["HostConfig"]["NetworkMode"]
    assert {"EndpointsConfig": {expected: {"Aliases": ["web"]}}} == (
        spec["NetworkingConfig"]
    )


def test_modified_spec_does_not_affect_next_spec() -> None:
    """What a caller does to one does not show in the next."""
    options = parsed("--dns", "1.1.1.1")
    options.spec(image="i")["HostConfig"]["Dns"].append("2.2.2.2")

    assert ["1.1.1.1"] == options.spec(image="i")["HostConfig"]["Dns"]
    with pytest.raises(FrozenInstanceError):
        options.name = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "uid", "rootless", "expected"),
    [
        ((), 1000, False, "1000:100"),
        ((), 0, False, ""),
        ((), 1000, True, ""),
        (("--user", "0"), 1000, False, "0"),
        (("-u", "app:app"), 0, True, "app:app"),
        (("--user=",), 1000, False, ""),
    ],
)
def test_user_is_dewys_own_unless_that_is_root(
    words: tuple[str, ...], uid: int, rootless: bool, expected: str
) -> None:
    """Or the operator names one, or the engine maps them."""
    options = parsed(*words).run_as(uid, 100, rootless=rootless)

    assert expected == options.user
    assert expected == options.spec(image="i").get("User", "")


def test_parsed_options_expose_common_values() -> None:
    """Without taking a spec apart."""
    options = parsed(
        *("--name", "shop", "--network", "mine", "--stop-timeout", "7"),
        *("--platform", "linux/arm64", "--restart", "always"),
    )
    assert ("shop", "mine", 7, "linux/arm64", 1) == (
        options.name,
        options.network,
        options.stop_timeout,
        options.platform,
        len(options.cautions),
    )
    assert 7 == options.spec(image="i")["StopTimeout"]


def test_fingerprint_is_of_everything_that_differs() -> None:
    """An option, a variable of dewy's own, the image, the command, a port, the user."""
    options = parsed("-e", "A=b")
    found = [
        fingerprint(),
        fingerprint("-e", "A=b"),
        fingerprint("-e", "A=c"),
        fingerprint("-e", "B", B="1"),
        fingerprint("-e", "B", B="2"),
        fingerprint("--network", "a"),
        fingerprint("--platform", "linux/arm64"),
        fingerprint("--network-alias", "a"),
        options.fingerprint("sha256:b", (), (80,)),
        options.fingerprint(DIGEST, ("a",), (80,)),
        options.fingerprint(DIGEST, ("a", ""), (80,)),
        options.fingerprint(DIGEST, (), (80, 81)),
        options.run_as(1, 1, rootless=False).fingerprint(DIGEST, (), (80,)),
    ]
    assert len(found) == len(set(found))


def test_fingerprint_is_stable_across_releases() -> None:
    """Replicas of an earlier dewy are not rolled for nothing."""
    options = parsed("-e", "A=b", "-m", "512m", "-l", "x=y", "-v", "./data:/data")

    assert "d03ec2931f0997ab" == options.fingerprint(DIGEST, ("serve",), (80, 443))


def test_fingerprint_passes_over_names() -> None:
    """And over what has no effect, and how it was spelled."""
    assert fingerprint() == fingerprint("--name", "x", "--restart", "no", "-q")
    assert fingerprint("-e", "A=b") == fingerprint("--env", "A", A="b")
    assert fingerprint("-m", "1g") == fingerprint("--memory=1024m")


@given(variables, st.randoms(use_true_random=False))
def test_order_of_names_does_not_count(
    variables: dict[str, str], random: st.DataObject
) -> None:
    """A file that is generated anew rolls nothing."""
    pairs = [f"{name}={value}" for name, value in variables.items()]
    shuffled = pairs[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    for flag in ("-e", "-l"):
        assert fingerprint(*(w for p in pairs for w in (flag, p))) == fingerprint(
            *(w for p in shuffled for w in (flag, p))
        )


@pytest.mark.parametrize("seed", ["0", "1"])
def test_fingerprint_is_the_same_in_another_process(seed: str) -> None:
    """Whatever order hashes put things into there."""
    words = ["-e", "A=b", "--ulimit", "nofile=1", "--ulimit", "core=2", "-l", "x=y"]
    code = (
        "from pathlib import Path\n"
        "from dewy.containers.options.arguments import parse\n"
        f"print(parse({words!r}, {{}}, Path({str(ROOT)!r}))"
        f".fingerprint({DIGEST!r}, (), (80,)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert fingerprint(*words) == done.stdout.strip()


def test_fingerprint_holds_no_secret() -> None:
    """Sixteen digits, and nothing that is shown holds one either."""
    options = parsed("-e", f"A={SECRET}", "--log-opt", f"token={SECRET}")
    shown = options.fingerprint(DIGEST, (), ())

    assert 16 == len(shown)
    assert int(shown, 16) >= 0
    assert SECRET not in repr(options)


@given(st.lists(words, max_size=6))
def test_arbitrary_options_parse_or_raise_single_line_error(
    typed: Sequence[str],
) -> None:
    """No other error comes of it."""
    message = ""
    try:
        parsed(*typed).fingerprint(DIGEST, (), ())
    except ConfigError as exc:
        message = str(exc)

    assert "\n" not in message


@given(
    st.sampled_from(["-e", "--env", "--log-opt", "-l", "--label", "--health-cmd"]),
    st.sampled_from([f"A={SECRET}", f"={SECRET}", f"A= {SECRET}", f"A={SECRET} x"]),
    st.lists(words, max_size=3),
)
def test_secrets_are_in_no_error(flag: str, value: str, more: Sequence[str]) -> None:
    """Nor in what is shown of the options, however wrong the rest is."""
    try:
        shown = repr(parsed(flag, *value.split(), *more))
    except ConfigError as exc:
        shown = str(exc)

    assert SECRET not in shown


HARMLESS = [
    ("--rm",),
    ("-d",),
    ("--pull", "always"),
    ("--expose", "9000"),
    ("--pid", "private"),
    ("--uts=private",),
    ("--detach-keys", "ctrl-x"),
    ("--sig-proxy=false",),
    ("--disable-content-trust",),
]


@pytest.mark.parametrize("words", HARMLESS, ids=" ".join)
def test_harmless_option_is_taken_and_told_to_have_no_effect(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    found = parse(words, {}, tmp_path)

    (caution,) = found.cautions
    flag = words[0].partition("=")[0]
    assert caution.startswith(f"run option {flag} has no effect: ")
    assert parse((), {}, tmp_path).spec(image="i") == found.spec(image="i")


@pytest.mark.parametrize(
    "words",
    [
        ("--ipc", "host"),
        ("--ipc", "container:db"),
        ("--pid", "host"),
        ("--uts", "host"),
        ("--cgroupns", "host"),
        ("--security-opt", "seccomp=unconfined"),
        ("--security-opt", "no-new-privileges:false"),
    ],
    ids=" ".join,
)
def test_option_opening_host_is_refused_and_alternative_named(
    words: tuple[str, str], tmp_path: Path
) -> None:
    refused = rf"{words[0]} '{words[1]}' cannot be used: it would open this host .* can"
    with pytest.raises(ConfigError, match=refused):
        parse(words, {}, tmp_path)


@pytest.mark.parametrize("name", ["bridge", "default"])
def test_network_of_the_engine_has_no_names(name: str, tmp_path: Path) -> None:
    body = parse(("--network", name), {}, tmp_path).spec(image="i", network="own")

    assert "bridge" == body["HostConfig"]["NetworkMode"]
    assert "NetworkingConfig" not in body
    with pytest.raises(ConfigError, match=r"--network-alias has no meaning in"):
        parse(("--network", name, "--network-alias", "shop"), {}, tmp_path)
