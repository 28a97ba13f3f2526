"""The command line from end to end: where an option stands, and what it may be."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.cli import run
from dewy.config import Settings
from dewy.config.settings import OPTIONS
from tests.needs import needs
from tests.standins import programs, publishing
from tests.standins.roots import say

PLACES = ["after", "before", "environment", "file"]
REGISTRY = "mem://app"

# Every option that the original had for `server` and `assets`: what may be said,
# the setting, and what that becomes.
ORIGINAL = [
    ("registry", "mem://other", "registry", "mem://other"),
    ("cache", "file:///srv/cache", "cache", "file:///srv/cache"),
    ("notifier", "mem://people", "notifiers", ("mem://people",)),
    ("interval", "30", "interval", 30.0),
    ("interval", "-1", "interval", 10.0),
    ("port", "8082, 8080-8081,", "ports", ["8080", "8081", "8082"]),
    ("before-deploy-hook", "echo 1; false", "before_deploy_hook", "echo 1; false"),
    ("after-deploy-hook", "echo $DEWY_TAG", "after_deploy_hook", "echo $DEWY_TAG"),
    ("slot", "blue", "slot", "blue"),
    ("calver", "YYYY.0M.MICRO", "registry", f"{REGISTRY}?calver=YYYY.0M.MICRO"),
    ("log-level", "WARN", "log_level", "warn"),
    ("log-format", "json", "log_format", "json"),
    ("admin-port", "17600", "admin_port", 17600),
    ("otlp-endpoint", "127.0.0.1:4317", "", None),
]

# What cannot be, and a part of what is said to be right instead.
MISTAKES = [
    ("registry", "ghr:owner/app", "scheme://"),
    ("cache", "/var/cache", "scheme://"),
    ("notifier", "slack", "scheme://"),
    ("interval", "0", "longer than zero"),
    ("interval", "soon", "such as 30, 30s"),
    ("max-backoff-interval", "5 m", "such as 30, 30s"),
    ("grace-period", "1d", "such as 30, 30s"),
    ("hook-timeout", "0s", "longer than zero"),
    ("calver", "version", "YYYY.0M.MICRO"),
    ("verify-checksum", "yes", "off, auto, required"),
    ("keep", "1", "from 2 to 1000"),
    ("port", "0", "from 1 to 65535"),
    ("port", "http", "from 1 to 65535"),
    ("port", "9-8", "lower port first"),
    ("port", "1000-1101", "101 ports"),
    ("port", "localhost:80", "127.0.0.1:8080"),
    ("ready", "soon", "auto, notify, grace"),
    ("start-grace", "-1s", "such as 30, 30s"),
    ("start-timeout", "forever", "such as 30, 30s"),
    ("stop-timeout", "9999h", "longer than a year"),
    ("probation", "x", "such as 30, 30s"),
    ("health-path", "up", "start with /"),
    ("admin-port", "65536", "from 0 to 65535"),
    ("log-level", "loud", "debug, info, warn, error"),
    ("log-format", "xml", "text, json"),
]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of every test here; logging is as before afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    directory = tmp_path / "root"
    directory.mkdir()
    monkeypatch.chdir(directory)
    yield directory
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the daemon would have been started with."""
    settings: list[Settings] = []

    async def keep(given: Settings, *_: object) -> int:
        settings.append(given)
        return 0

    monkeypatch.setattr("dewy.daemon.run", keep)
    return settings


def say_it(
    place: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Run `dewy server` with an option at *place*; the status, and its name there."""
    flag, before, after = f"--{name}", [], []
    if place == "environment":
        flag = OPTIONS[name].variable
        monkeypatch.setenv(flag, value)
    elif place == "file":
        flag = f"dewy.toml: {name}"
        number = OPTIONS[name].kind.toml == (int,)
        Path("dewy.toml").write_text(
            f"{name} = {value if number else json.dumps(value)}"
        )
    else:
        (before if place == "before" else after).append(f"{flag}={value}")
    registry = [] if name == "registry" else ["--registry", REGISTRY]
    return run([*before, "server", *registry, *after, "--", "./app"]), flag


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "value", "setting", "expected"), ORIGINAL)
def test_option_of_original_keeps_its_meaning(
    served: list[Settings],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    name: str,
    value: str,
    setting: str,
    expected: object,
) -> None:
    """Before and after the command; and it may stand in two more places now."""
    status, _ = say_it(place, name, value, monkeypatch)
    found = getattr(served[0], setting) if setting else None
    if setting == "ports":
        found = [address.name for address in served[0].ports]

    assert (0, expected) == (status, found)


@pytest.mark.parametrize("letter", ["c", "i", "p", "s", "l", "f"])
@pytest.mark.parametrize("spelling", ["-{0} {1}", "-{0}{1}", "-{0}={1}"])
def test_short_option_of_original_equals_long_option(
    served: list[Settings], letter: str, spelling: str
) -> None:
    """In each of the spellings its parser took."""
    option = next(each for each in OPTIONS.values() if each.short == letter)
    value = next(value for name, value, _, _ in ORIGINAL if name == option.name)
    value = value.replace(" ", "")
    words = spelling.format(letter, value).split()
    common = ["server", "--registry", REGISTRY, "--", "./app"]

    assert 0 == run([*words, *common]) == run([f"--{option.name}={value}", *common])
    assert served[0] == served[1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "value", "right"), MISTAKES)
def test_invalid_option_error_names_option_value_and_remedy(
    served: list[Settings],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    name: str,
    value: str,
    right: str,
) -> None:
    """In one line, before anything is started or made."""
    status, flag = say_it(place, name, value, monkeypatch)
    out, err = capsys.readouterr()

    assert (2, "", []) == (status, out, served)
    assert 1 == err.count("\n")
    for part in ("dewy: error: ", flag, value, right):
        assert part in err
    assert {"dewy.toml"} >= set(os.listdir())


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("registri = 'mem://x'", "did you mean registry?"),
        ("helth_path = '/'", "did you mean health-path?"),
        ("interval = true", "must be an integer or a number or a string"),
        ("keep = '7'", "must be an integer"),
        ("once = 1", "must be true or false"),
        ("port = [[80]]", "or an array of them"),
        ("[server]\nport = 80", "there is no option 'server'"),
        ("port =", "is not TOML"),
    ],
)
@pytest.mark.parametrize(
    ("command", "expected"), [("server", 2), ("check", 2), ("status", 0), ("hold", 1)]
)
def test_mistake_in_the_file_is_found_whatever_is_asked(
    capsys: pytest.CaptureFixture[str],
    file: str,
    part: str,
    command: str,
    expected: int,
) -> None:
    """Not only when the option is needed; what looks or helps goes on all the same."""
    Path("dewy.toml").write_text(file)
    status = run([command])
    err = capsys.readouterr().err

    assert expected == status
    assert "dewy.toml" in err
    assert part in err
    assert ["dewy.toml"] == os.listdir()


@pytest.mark.parametrize("variable", ["KILL_OLD_DELAY", "AUTO_RESTART_INTERVAL"])
async def test_mistake_in_a_supervisor_s_variable_leaves_no_trace(
    root: Path, variable: str
) -> None:
    """It is a mistake of the configuration as any other."""
    said = await say(
        root,
        *("server", "--registry", REGISTRY, "--", "./app"),
        ENABLE_AUTO_RESTART="1",
        **{variable: "soon"},
    )

    assert (2, "") == (said.status, said.out)
    assert f"{variable}='soon'" in said.err.splitlines()[-1]
    assert [] == os.listdir(root)


def test_check_tells_why_every_other_candidate_was_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions first, then the files of the one that was chosen."""
    registry = root.parent / "registry"
    registry.mkdir()
    artifact = programs.tarball({"index.html": "hello"})
    good = {"app_linux_amd64.tar.gz": artifact, "app_linux_arm64.tar.gz": artifact}
    others = {"app_darwin_all.tar.gz": artifact, "app.tar.gz.sha256": b"0"}
    publishing.put(registry, "v1.2.0+blue", good | others)
    for version in ("latest", "v1.1.0+blue", "v1.3.0-rc.1+blue", "v2.0.0+green"):
        publishing.put(registry, version, good)
    command = ["--registry", f"file://{registry}", "-s", "blue"]
    status = run(["check", "--json", *command])
    found = json.loads(capsys.readouterr().out)
    refused = {each["name"]: each["reason"] for each in found["refused"]}
    foreign = ({*good} - {Path(found["artifact_url"]).name}).pop()

    assert (0, "v1.2.0+blue") == (status, found["tag"])
    assert found["artifact_url"].startswith(
        f"file://{registry}/v1.2.0%2Bblue/app_linux"
    )
    assert {
        "latest": "not a semantic version",
        "v1.3.0-rc.1+blue": "pre-release",
        "v2.0.0+green": "slot green, not blue",
    }.items() <= refused.items()
    assert {foreign, *others} == set(refused) - {*os.listdir(registry)}
    assert [] == os.listdir(root)


@needs("bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ro", "rollback"),
        ("server --health-p", "--health-path"),
        ("assets --before", "--before-deploy-hook"),
        ("--log-l", "--log-level"),
    ],
)
def test_completion_is_answered_in_bash(words: str, expected: str) -> None:
    """The script as it is sourced, asked as bash asks it."""
    dewy = Path(sys.executable).with_name("dewy")
    line = ["dewy", *words.split()]
    script = (
        'source <("$1" completion bash) && dewy=$1 && shift\n'
        'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n'
        '_dewy_completion "$dewy"; echo "${COMPREPLY[@]}"'
    )
    said = subprocess.run(
        ["bash", "-c", script, "bash", dewy, *line],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ("", [expected]) == (said.stderr, said.stdout.split())
