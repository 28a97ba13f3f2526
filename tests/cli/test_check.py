"""`dewy check`."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dewy.admin import preview
from dewy.cli.check import lines
from tests.cli.conftest import Dewy

FOUND: dict[str, Any] = {
    "tag": "v4",
    "artifact_url": "mem://x/v4",
    "identity": "four",
    "refused": [{"name": "v9", "reason": "is a pre-release"}],
    "quarantined": None,
    "running": {"tag": "v2", "identity": "two", "directory": "d", "since": 1.0},
}
NOTHING = {**FOUND, "tag": None, "artifact_url": None, "error": "nothing fits"}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the registry has; to be changed at will."""
    found = dict(FOUND)

    async def look(settings: object) -> dict[str, Any]:
        return found

    monkeypatch.setattr(preview, "preview", look)
    return found


def test_release_is_shown(dewy: Dewy, found: dict[str, Any]) -> None:
    """With what was refused, and why."""
    ended = dewy("check", "--registry", "mem://x")

    assert 0 == ended.status
    assert [
        "release:  v4",
        "artifact: mem://x/v4",
        "running:  v2",
        "refused:  v9: is a pre-release",
    ] == ended.out.splitlines()


def test_json_output_is_single_object_with_findings(
    dewy: Dewy, found: dict[str, Any]
) -> None:
    """For programs."""
    told = json.loads(dewy("check", "--registry", "mem://x", "--json").out)

    findings = told.pop("findings")
    assert found == told
    assert {
        "level": "ok",
        "subject": "root",
        "text": "can be written",
        "advice": "",
    } in findings


def test_cache_that_cannot_be_read_is_told(dewy: Dewy, found: dict[str, Any]) -> None:
    """It is no failure: dewy deploys without."""
    found["cache_error"] = "redis://cache:6379 could not be reached"
    ended = dewy("check", "--registry", "mem://x")

    assert 0 == ended.status
    assert "no cache: redis://cache:6379 could not be reached" in ended.out


def test_no_release_is_a_failure(dewy: Dewy, found: dict[str, Any]) -> None:
    """The object is printed all the same."""
    found.update(NOTHING)
    ended = dewy("check", "--registry", "mem://x", "--json")

    assert 1 == ended.status
    assert "nothing fits" == json.loads(ended.out)["error"]
    assert "nothing to deploy: nothing fits" == next(iter(lines(NOTHING)))


@pytest.mark.parametrize(
    ("until", "expected"), [(None, "for good: died"), (1e9, "until 2001-09-")]
)
def test_quarantine_is_shown(until: float | None, expected: str) -> None:
    """It is the newest, but would not be deployed."""
    entry = {"reason": "died", "until": until}

    assert any(expected in line for line in lines({**FOUND, "quarantined": entry}))


def test_command_line_of_the_server_can_be_checked(
    dewy: Dewy, found: dict[str, Any]
) -> None:
    """As it stands, with one word changed."""
    words = ("--registry", "mem://x", "-p", "8080", "--ready", "grace", "--", "./app")

    assert 0 == dewy("check", *words).status


def test_registry_is_required(dewy: Dewy) -> None:
    """There would be nobody to ask."""
    assert 2 == dewy("check").status


def test_unknown_scheme_is_misconfiguration(dewy: Dewy) -> None:
    """Not a registry that fails."""
    ended = dewy("check", "--registry", "nobody://x")

    assert 2 == ended.status
    assert "nobody://" in ended.err


def test_run_options_of_images_are_judged(dewy: Dewy, found: dict[str, Any]) -> None:
    """A command line of `container` is checked to its end, and a program is not."""
    images = ("check", "--registry", "img://ghcr.io/acme/shop", "-p", "8080:80")

    assert 0 == dewy(*images, "--", "-e", "A=b").status
    assert "-t cannot be used" in dewy(*images, "--", "-t").err
    assert 0 == dewy("check", "--registry", "mem://x", "--", "./app", "-d").status


@pytest.mark.parametrize("command", ["server", "assets", "container"])
def test_check_reports_errors_of_named_command_at_once(
    dewy: Dewy, found: dict[str, Any], command: str
) -> None:
    """Whatever it would refuse is told, all at once, by its own words."""
    words = ("--registry", "nobody://x", "--interval", "0", "--max-parallel", "0")
    alone = dewy(command, "--registry", "nobody://x", "--interval", "0")
    ended = dewy("check", command, *words)

    assert (2, 2) == (alone.status, ended.status)
    for line in alone.err.splitlines():
        assert line in ended.err
    for part in ("--interval", "nobody://" if command != "container" else "of images"):
        assert part in ended.err
    assert "max-parallel" in ended.err


def test_flags_of_other_commands_are_foretold(
    dewy: Dewy, found: dict[str, Any], root: Path
) -> None:
    """As the warning that the command gives."""
    (root / "app").write_text("#!/bin/sh\n")
    (root / "app").chmod(0o755)
    words = ("--registry", "mem://x", "--name", "x", "--replicas", "2", "--", "./app")
    ended = dewy("check", "server", *words)

    assert 0 == ended.status
    assert "no effect with server: --name, --replicas" in ended.out


def test_program_may_have_the_name_of_a_command(
    dewy: Dewy, found: dict[str, Any]
) -> None:
    """After the dashes it is no mode."""
    ended = dewy("check", "--registry", "mem://x", "--", "server")

    assert "program: server is not found in PATH" in ended.out


def test_program_that_cannot_be_executed_is_a_failure(
    dewy: Dewy, found: dict[str, Any], root: Path
) -> None:
    """With what to do."""
    (root / "app").write_text("#!/bin/sh\n")
    ended = dewy("check", "server", "--registry", "mem://x", "--", "./app")

    assert 1 == ended.status
    assert "is not executable → chmod +x" in ended.out


def test_taken_port_is_a_failure_that_names_its_holder(
    dewy: Dewy, found: dict[str, Any]
) -> None:
    """As the command would, but at once."""
    with socket.create_server(("", 0)) as listener:
        port = listener.getsockname()[1]
        # Another process, and not one of this root.
        holder = subprocess.Popen(
            ["/bin/sleep", "60"], cwd="/", pass_fds=[listener.fileno()]
        )
    try:
        words = ("--registry", "mem://x", "-p", str(port), "--", "sh")
        ended = dewy("check", "server", *words)
    finally:
        holder.kill()
        holder.wait()

    assert 1 == ended.status
    assert f"--port {port} is in use by" in ended.out
    assert f"(pid {holder.pid})" in ended.out


def test_offline_check_does_not_query_registry(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is judged."""

    async def ask(settings: object) -> dict[str, Any]:
        raise AssertionError

    monkeypatch.setattr(preview, "preview", ask)
    ended = dewy("check", "assets", "--offline", "--registry", "mem://x")

    assert (0, "nothing is wrong\n", "") == (ended.status, ended.out, ended.err)


def test_nothing_is_written(dewy: Dewy, root: Path) -> None:
    """Not even a directory."""
    dewy("check", "assets", "--registry", f"file://{root}")
    dewy("check", "server", "--registry", f"file://{root}", "-p", "0", "--", "./app")

    assert [] == list(root.iterdir())


def test_results_of_notifiers_are_told(dewy: Dewy, found: dict[str, Any]) -> None:
    """Good ones, too, for they were asked for; a failure is the exit status."""
    words = ("--registry", "mem://x", "--notifier", "mem://people")
    assert "notifier" not in dewy("check", *words).out
    good = dewy("check", *words, "--test-notifiers")
    assert 0 == good.status
    assert "ok:        notifier: mem://people accepted a test notice in" in good.out
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"http://127.0.0.1:{server.getsockname()[1]}"
    bad = dewy("check", *words, "--notifier", f"{place}/s3cret", "--test-notifiers")

    assert 1 == bad.status
    assert f"failure:   notifier: {place}: 127.0.0.1 could not be reached" in bad.out
    assert "s3cret" not in bad.out + bad.err


def test_command_line_of_proxy_is_judged(dewy: Dewy, unused_tcp_port: int) -> None:
    """As that of the other commands: it needs neither registry nor program."""
    listen = ("--listen", f"127.0.0.1:{unused_tcp_port}")
    ended = dewy("check", "proxy", *listen, "--backend", "127.0.0.1:1")

    assert (0, "nothing is wrong\n", "") == (ended.status, ended.out, ended.err)


def test_mistakes_of_proxy_are_told_at_once(dewy: Dewy) -> None:
    ended = dewy("check", "proxy", "--replicas", "3", "current/app")

    assert 2 == ended.status
    assert [
        "dewy: error: proxy has no option --replicas",
        "dewy: error: proxy needs a --backend to pass connections on to",
        "dewy: error: proxy takes no argument 'current/app'",
    ] == ended.err.splitlines()


def test_options_of_proxy_are_refused_for_others(dewy: Dewy) -> None:
    ended = dewy("check", "assets", "--registry", "mem://x", "--listen", "8080")

    assert 2 == ended.status
    assert "assets has no option --listen" in ended.err
