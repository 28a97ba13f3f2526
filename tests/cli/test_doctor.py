"""`dewy doctor`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dewy.cli.doctor import arguments_of
from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy
from tests.eventually import eventually


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "dewy", "server", "-i", "1"],
        ["/usr/bin/python3", "/opt/dewy/bin/dewy", "server", "-i", "1"],
        ["python", "/x/dewy/__main__.py", "server", "-i", "1"],
        ["renamed", "server", "-i", "1"],
    ],
)
def test_arguments_follow_the_program(words: list[str]) -> None:
    """However it was started."""
    assert ["server", "-i", "1"] == arguments_of(words)


def test_root_without_a_dewy_is_a_failure(dewy: Dewy, worked: StateFile) -> None:
    """The rest is looked at all the same."""
    ended = dewy("doctor", "--registry", "mem://x", "--offline")

    assert 1 == ended.status
    assert "failure:   dewy: no dewy runs in this root" in ended.out
    assert "ok:        root: can be written" in ended.out


async def test_running_dewy_is_examined_with_its_own_command_line(root: Path) -> None:
    """Its options and its environment, from wherever it is asked."""
    releases = root / "releases-of-registry"
    releases.mkdir()
    words = ["assets", "--registry", f"file://{releases}", "--interval", "600"]
    dewy = [sys.executable, "-m", "dewy"]
    environ = {**os.environ, "DEWY_ADMIN_PORT": "0"}
    running = await asyncio.create_subprocess_exec(*dewy, *words, cwd=root, env=environ)
    try:
        await eventually((root / ".dewy/admin.sock").exists)
        doctor = await asyncio.create_subprocess_exec(
            *(*dewy, "-C", root, "doctor", "--json"), cwd="/", stdout=subprocess.PIPE
        )
        out, _ = await doctor.communicate()
    finally:
        running.terminate()
        await running.wait()

    told = json.loads(out)
    assert str(releases) in told["error"]
    subjects = {each["subject"] for each in told["findings"]}
    assert {"dewy", "root", "disk", "clock", "descriptors"} <= subjects
    assert 1 == doctor.returncode


async def test_doctor_reports_running_proxy_as_healthy(
    root: Path, unused_tcp_port: int
) -> None:
    """With the options that it was started with, or those of its file."""
    (root / "dewy.toml").write_text("backend = '127.0.0.1:9'\n")
    dewy = [sys.executable, "-m", "dewy"]
    words = ["proxy", "--listen", f"127.0.0.1:{unused_tcp_port}"]
    running = await asyncio.create_subprocess_exec(*dewy, *words, cwd=root)
    try:
        await eventually((root / ".dewy/proxy.sock").exists)
        doctor = await asyncio.create_subprocess_exec(
            *(*dewy, "-C", root, "doctor", "--json"), cwd="/", stdout=subprocess.PIPE
        )
        out, _ = await doctor.communicate()
    finally:
        running.terminate()
        await running.wait()
    findings = json.loads(out)["findings"]

    assert 0 == doctor.returncode
    assert [] == [each for each in findings if each["level"] in ("mistake", "failure")]
    assert f"pid {running.pid} is well" in [each["text"] for each in findings]


def test_broken_file_of_options_is_told_once(
    dewy: Dewy, worked: StateFile, root: Path
) -> None:
    (root / "dewy.toml").write_text("replicas = = 3\n")
    ended = dewy("doctor", "--offline")

    assert (2, "") == (ended.status, ended.err)
    assert 1 == ended.out.count("is not TOML")
