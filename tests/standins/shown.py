"""What a dewy might say of itself, for pages that show it."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from dewy.admin.status import ProcessStatus, status
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State
from dewy.system import Clock

Status = dict[str, Any]

ADDRESS = "0.0.0.0:8080"
REASON = "replica shop-1772443012-1 ended with exit status 3 while others were started"


class Telling:
    """
    A dewy that says *told*, and moves a little between one look and the next.

    Attributes:
        looks: How often it was asked.
    """

    def __init__(self, told: Status) -> None:
        self.told = told
        self.looks = 0

    async def __call__(self) -> Status:
        moved = []
        self.looks += 1
        for number, each in enumerate(self.told["replicas"], 1):
            if each["last_check"]:
                each["last_check"] = check(number)
            if each["phase"] == "serving":
                each["connections_total"] += 40 + number
                each["connections_total"] += self.looks * 5 % 23
                each["bytes_up"] += 21_000 * number
                each["bytes_down"] += 640_000 * number
            moved.append(dict(each))
        return {**self.told, "replicas": moved, "ports": self._ports(moved)}

    def _ports(self, replicas: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The ports, which carry what the replicas do."""
        summed = ("connections", "connections_total", "bytes_up", "bytes_down")
        counted = {name: sum(each[name] for each in replicas) for name in summed}
        ports = self.told["ports"]
        return [{**each, **counted} if "errors" in each else each for each in ports]


STARTED = time.time()
"""The moment that histories go by: what has happened stays as it is."""


def replica(number: int, version: str, phase: str, **more: object) -> dict[str, Any]:
    """A container as `/api/containers` tells it."""
    serving = phase == "serving"
    known = serving or phase == "leaving"
    return {
        "id": f"{version}-{number}",
        "name": f"shop-17724430{number}4-{number}",
        "image": f"registry.test/acme/shop:{version}",
        "status": "running",
        "ip_port": f"127.0.0.1:3283{number}",
        "started_at": "2026-03-02T09:17:05.038233638Z",
        "deployed_at": "2026-03-02T09:17:04+00:00",
        "labels": {"dewy.app": "shop"},
        "version": version,
        "digest": f"sha256:{version}",
        "phase": phase,
        "upstream": f"172.27.0.{number + 2}:8080" if known else "",
        "way": "direct" if known else "",
        "connections": 18 + number if serving else 2 if known else 0,
        "connections_total": 9000 if known else 0,
        "bytes_up": 1_000_000 if known else 0,
        "bytes_down": 20_000_000 if known else 0,
        "failures": 0,
        "broken": 0,
        "health": "healthy" if serving else "starting" if phase == "starting" else "",
        "problem": "",
        "last_check": check(number) if known else None,
        "restarts": 0,
        "last_terminated": None,
        **more,
    }


def check(number: int, *, ok: bool = True) -> dict[str, Any]:
    """The last check of a replica, a moment ago."""
    at = time.time() - number / 2
    return {"at": at, "ok": ok, "latency": 0.0031 * number if ok else None}


def proxied() -> list[dict[str, Any]]:
    """The port of a proxy."""
    names = ("connections", "connections_total", "bytes_up", "bytes_down")
    return [{"address": ADDRESS, **dict.fromkeys(names, 0), "errors": 2, "retries": 7}]


def rolling(now: float | None = None) -> Status:
    """Of an application whose replicas are being replaced."""
    now = now or time.time()
    replicas = [
        replica(1, "v2.4.0", "serving"),
        replica(2, "v2.4.0", "starting", problem="connection refused"),
        replica(3, "v2.3.1", "serving"),
        replica(4, "v2.3.1", "serving", health="unhealthy", problem="503 at /healthz"),
        replica(5, "v2.3.1", "leaving"),
    ]
    unwell = "replica shop-1772443044-4 is unhealthy: 503 at /healthz"
    return told(
        "container",
        state(now, "v2.3.1", "v2.3.0", bad="v2.3.2"),
        ProcessStatus(
            4711,
            degraded=[unwell],
            next_poll=now + 7,
            last_poll=now - 23,
            underway={
                "tag": "v2.4.0",
                "previous": "v2.3.1",
                "action": "deploy",
                "why": "",
                "step": "start",
                "progress": "replica 2 of 3 is starting",
                "since": now - 14,
            },
            replicas=replicas,
            desired_replicas=3,
            ports=proxied(),
        ),
        now,
    )


def serving(now: float | None = None) -> Status:
    """Of a program whose next generation takes over."""
    now = now or time.time()
    generations = [
        {
            "generation": 7,
            "pid": 4760,
            "state": "draining",
            "since": now - 86_000,
            "status": "12 requests left",
            "last_check": None,
        },
        {
            "generation": 8,
            "pid": 5012,
            "state": "serving",
            "since": now - 4,
            "status": "Ready, 4 workers",
            "last_check": check(1),
        },
    ]
    process = ProcessStatus(
        4711,
        generations=generations,
        next_poll=now + 8,
        last_poll=now - 2,
        ports=[{"address": ADDRESS}],
        deaths={"total": 0, "last": None},
        probation=26.0,
    )
    return told("server", state(now, "v1.9.2", "v1.9.0", since=4), process, now)


def told(command: str, known: State, process: ProcessStatus, now: float) -> Status:
    """As `dewy status --json` has it."""
    return status(
        known,
        now,
        name="shop",
        command=command,
        root="/srv/shop",
        process=process,
        past=past_of_program() if command == "server" else past(),
    )


def state(
    now: float, running: str, previous: str, bad: str = "", since: float = 90_000
) -> State:
    places = ("", "") if bad else ("20260302T090031Z", "20260226T141500Z")
    identities = [hashlib.sha256(each.encode()) for each in (running, previous)]
    new, old = (f"sha256:{each.hexdigest()}" for each in identities)
    installed = Installed(running, new, places[0], now - since)
    before = Installed(previous, old, places[1], now - 400_000)
    clock = Clock(wall=lambda: now, monotonic=lambda: 0.0, jitter=lambda: 0.5)
    quarantine = Quarantine()
    if bad:
        quarantine = quarantine.add(
            bad, "c", REASON, clock, traffic=False, detail="a program's words"
        )
    return State(
        running=installed,
        installed=(installed, before),
        quarantine=quarantine,
        because="the newest release when it was deployed",
    )


def past() -> list[dict[str, Any]]:
    """What led to `rolling`, newest first, as `Past` has it."""
    now = STARTED
    failed = {"outcome": "failed", "step": "start", "reason": REASON, "wrote": True}
    return [
        {**record(now - 3000, "v2.3.2", "v2.3.1", 21.4), **failed},
        record(now - 90_000, "v2.3.1", "v2.3.0", 34.9),
        record(now - 400_000, "v2.3.0", "", 40.2),
    ]


def past_of_program() -> list[dict[str, Any]]:
    """The same for `serving`."""
    now = STARTED
    reason = "died within probation (exit status 7)"
    back = {"outcome": "rolled back", "step": "probation", "reason": reason}
    return [
        record(now - 4, "v1.9.2", "v1.9.0", 2.1),
        {**record(now - 86_000, "v1.9.1", "v1.9.0", 3.2), **back},
        record(now - 400_000, "v1.9.0", "", 2.4),
    ]


def record(at: float, tag: str, previous: str, seconds: float) -> dict[str, Any]:
    """A deployment that went well."""
    return {
        "at": at,
        "tag": tag,
        "previous": previous,
        "action": "deploy",
        "outcome": "deployed",
        "step": "done",
        "reason": "",
        "seconds": seconds,
        "wrote": False,
    }
