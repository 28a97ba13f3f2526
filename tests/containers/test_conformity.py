"""What docker's own command line makes of the same words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dewy.containers.options.arguments import parse
from tests.needs import needs
from tests.standins.engine_log import engine_log

pytestmark = needs("docker")

# Only what docker's older command lines know, too.
CASES = [
    ("-e", "A=b", "--env=C=d", "-eE=f", "-e=G=h", "-e", "SET", "-e", "UNSET"),
    ("-m", "512m", "--memory-swap=1g", "--memory-reservation", "100m"),
    ("-m1.5g", "--memory-swap", "-1"),
    ("--cpus", "1.5", "-c", "512", "--cpuset-cpus", "0-3,6", "--pids-limit", "100"),
    ("-u", "1000:1000", "-w", "/srv", "--entrypoint", "/bin/sh"),
    ("--entrypoint", ""),
    (
        "-v",
        "/data:/d:ro",
        "-v",
        "named:/n",
        "-v",
        "./rel:/r",
        "-v",
        "/anon",
        "--volume=../up:/u:ro,z",
    ),
    ("--mount", "type=bind,source=/a,target=/b,readonly,bind-propagation=rslave"),
    (
        "--mount",
        'type=volume,src=vol,dst=/v,volume-nocopy,volume-driver=local,volume-opt=type=nfs,"volume-opt=o=addr=1.2.3.4,rw",volume-label=a=b',
    ),
    ("--mount", "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777"),
    ("--mount", "source=vol,target=/x"),
    ("--tmpfs", "/run:rw,size=64m", "--tmpfs", "/tmp"),
    ("--network", "shop", "--network-alias", "a", "--net-alias", "b"),
    ("--net", "shop"),
    (
        "-h",
        "box",
        "--domainname",
        "example.org",
        "--add-host",
        "db:10.0.0.1",
        "--add-host",
        "gw:host-gateway",
        "--dns",
        "1.1.1.1",
        "--dns-search",
        "x.org",
        "--dns-option",
        "ndots:2",
        "--dns-opt",
        "rotate",
    ),
    ("-l", "a=b", "--label", "c", "-ld=e"),
    ("--log-driver", "json-file", "--log-opt", "max-size=1m"),
    ("--log-opt", "max-size=1m"),
    ("--ulimit", "nofile=1024:2048", "--ulimit", "nproc=5", "--ulimit", "core=-1"),
    (
        "--init",
        "--read-only",
        "--shm-size",
        "128m",
        "--stop-signal",
        "SIGQUIT",
        "--stop-timeout",
        "30",
    ),
    ("--init=false",),
    ("--cap-drop", "ALL"),
    ("--cap-drop", "CAP_NET_RAW", "--cap-drop", "CAP_CHOWN"),
    (
        "--health-cmd",
        "curl -f x || exit 1",
        "--health-interval",
        "30s",
        "--health-timeout",
        "5s",
        "--health-retries",
        "3",
        "--health-start-period",
        "1m30s",
    ),
    ("--no-healthcheck",),
    ("--health-interval", "10s"),
    ("--gpus", "all"),
    ("--gpus", "2"),
    ("--gpus", '"device=0,1"'),
    ("--gpus", 'driver=nvidia,count=1,"capabilities=utility,compute"'),
    ("--gpus", "device=GPU-1"),
    ("--group-add", "audio", "--group-add", "7"),
    ("--sysctl", "net.core.somaxconn=1024"),
    ("--oom-score-adj", "-500"),
    ("--oom-kill-disable", "-m", "1g"),
    ("--runtime", "runsc"),
    (
        "--cpu-period",
        "100000",
        "--cpu-quota",
        "50000",
        "--cpuset-mems",
        "0",
        "--memory-swappiness",
        "10",
    ),
    ("--storage-opt", "size=1G"),
    ("--ipc", "private", "--cgroupns", "private", "--cgroup-parent", "web.slice"),
    ("--security-opt", "no-new-privileges", "--blkio-weight", "300"),
]

Log = tuple[int, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    with engine_log() as log:
        yield log


def docker(log: Log, words: tuple[str, ...], cwd: Path) -> Any:
    """The body that docker sends for *words*."""
    port, bodies = log
    subprocess.run(
        ["docker", "create", "--pull", "never", *words, "image"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "DOCKER_HOST": f"tcp://127.0.0.1:{port}",
            "SET": "ours",
        },
        cwd=cwd,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return bodies.pop()


def meaning(value: Any) -> Any:
    """*value* without what says nothing, and lists of names in order."""
    if isinstance(value, dict):
        pruned = {name: meaning(each) for name, each in value.items()}
        return {name: each for name, each in pruned.items() if each}
    if isinstance(value, list):
        return [meaning(each) for each in value]
    return value


def sent(body: Any) -> Any:
    """What *body* asks for, without what only a terminal needs."""
    for name in ("AttachStdout", "AttachStderr"):
        body.pop(name, None)
    host = body["HostConfig"]
    host.pop("ConsoleSize", None)
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]
    if host.get("NetworkMode") == "default":
        del host["NetworkMode"]
    for names in (host.get("CapDrop"), host.get("Binds"), body.get("Env")):
        if names:
            names.sort()
    (host.get("Ulimits") or []).sort(key=str)
    return meaning(body)


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_run_options_produce_same_request_as_docker_cli(
    log: Log, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Field by field of what the engine is sent."""
    ours = parse(words, {"SET": "ours"}, tmp_path).spec(image="image")

    assert sent(docker(log, words, tmp_path)) == sent(ours)
