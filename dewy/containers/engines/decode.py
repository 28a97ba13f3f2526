"""Decoding of an engine's JSON into dewy's model, alike for Docker and Podman."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from ..model import Container, Event, Image, LogLine, Network
from .errors import one_line, secrets_of

Json = Mapping[str, Any]

SECOND = 10**9
"""Nanoseconds per second; lines of output are dated in nanoseconds."""

_STAMPED = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?(.*)",
    re.DOTALL,
)

# Podman has its own words for some states and events.
_STATES = {
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
    "stopped": "exited",
}
_ACTIONS = {"died": "die", "remove": "destroy", "rm": "destroy"}

# Attribute of an event that holds its detail, by action.
_DETAILS = {"die": ("exitCode", "containerExitCode"), "kill": ("signal",)}

CLEANED = "cleanup"

TOLD = frozenset(
    {
        CLEANED,
        "connect",
        "create",
        "destroy",
        "die",
        "disconnect",
        "health_status",
        "kill",
        "oom",
        "pause",
        "rename",
        "restart",
        "start",
        "stop",
        "unpause",
        "update",
    }
)
"""Actions passed on as events; the others happen within containers."""

ENDED = frozenset({"exited", "dead"})
HERE = frozenset({"", "0.0.0.0", "127.0.0.1"})


def container(data: Json) -> Container:
    """Return the container that an inspection shows."""
    state, config = data["State"], data["Config"]
    status = _STATES.get(state["Status"], state["Status"])
    running = status == "running"
    networks = data.get("NetworkSettings") or {}
    return Container(
        id=data["Id"],
        name=data["Name"].removeprefix("/"),
        state=status,
        labels=dict(config.get("Labels") or {}),
        image=config.get("Image") or "",
        image_id=digest(data.get("Image") or ""),
        created_at=_moment(data.get("Created")),
        started_at=_moment(state.get("StartedAt")),
        exit_code=int(state["ExitCode"]) if status in ENDED else None,
        error=one_line(state.get("Error") or "", secrets_of(config)),
        oom_killed=bool(state.get("OOMKilled")),
        health=_health(state),
        restarts=int(data.get("RestartCount") or 0),
        pid=int(state.get("Pid") or 0) if running else 0,
        addresses=_addresses(networks) if running else {},
        published=_published(networks) if running else {},
    )


def digest(identity: str) -> str:
    """Return an image's id with the algorithm, which Podman omits in places."""
    return f"sha256:{identity}" if identity and ":" not in identity else identity


def _moment(text: str | None) -> str:
    """Return *text*, or "" for the year one, which stands for "not yet"."""
    return "" if not text or text.startswith("0001-") else text


def _health(state: Json) -> str:
    status = (state.get("Health") or {}).get("Status") or ""
    return "" if status == "none" else str(status)


def _addresses(networks: Json) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, network in (networks.get("Networks") or {}).items():
        if address := network.get("IPAddress") or network.get("GlobalIPv6Address"):
            found[name] = address
    return found


def _published(networks: Json) -> dict[int, int]:
    found: dict[int, int] = {}
    for exposed, bindings in (networks.get("Ports") or {}).items():
        port, _, protocol = exposed.partition("/")
        for binding in bindings or ():
            if protocol in {"", "tcp"} and (binding.get("HostIp") or "") in HERE:
                found[int(port)] = int(binding["HostPort"])
    return found


def image(data: Json) -> Image:
    """Return the image that an inspection shows."""
    config = data.get("Config") or {}
    references = [*(data.get("RepoTags") or ()), *(data.get("RepoDigests") or ())]
    named = [name for name in references if not name.startswith("<none>")]
    parts = (data.get("Os"), data.get("Architecture"), data.get("Variant"))
    check = data.get("Healthcheck") or config.get("Healthcheck") or {}
    test = check.get("Test") or ["NONE"]
    return Image(
        id=digest(data["Id"]),
        tags=tuple(dict.fromkeys(name for name in named if "@" not in name)),
        digests=tuple(dict.fromkeys(name for name in named if "@" in name)),
        ports=_exposed(config),
        volumes=tuple(sorted(config.get("Volumes") or ())),
        created_at=data.get("Created") or "",
        healthcheck=test[0] != "NONE",
        platform="/".join(part for part in parts if part),
    )


def _exposed(config: Json) -> tuple[int, ...]:
    ports = (exposed.partition("/") for exposed in config.get("ExposedPorts") or ())
    return tuple(sorted(int(port) for port, _, kind in ports if kind in {"", "tcp"}))


def repository(reference: str) -> str:
    """
    Return `HOST/PATH` of *reference*: no tag or digest, Docker Hub's host spelt out.

    The original used the name under which Docker Hub's registry answers.
    """
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    host, slash, path = name.partition("/")
    if not slash or not (host == "localhost" or set(".:") & set(host)):
        host, path = "docker.io", name
    if host in {"docker.io", "index.docker.io", "registry-1.docker.io"}:
        return f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"
    return f"{host}/{path}"


def familiar(reference: str) -> str:
    """Return the `repository` of *reference* as engines' filters know it."""
    return repository(reference).removeprefix("docker.io/").removeprefix("library/")


def network(data: Json) -> Network:
    """Return the network that an inspection shows."""
    ranges = (data.get("IPAM") or {}).get("Config") or ()
    gateways = [gateway for part in ranges if (gateway := _gateway(part))]
    bridge = data.get("Driver") == "bridge"
    return Network(
        name=data["Name"],
        driver=data.get("Driver") or "",
        gateways=tuple(gateways) if bridge else (),
        labels=dict(data.get("Labels") or {}),
    )


def _gateway(part: Json) -> str:
    """Return the bridge's own address, which Docker tells only if one was requested."""
    given = part.get("Gateway") or ""
    room = part.get("IPRange") or part.get("Subnet")
    return given or (str(ip_network(room, strict=False)[1]) if room else "")


def event(
    data: Json, labels: Mapping[str, str | None], known: Set[str]
) -> Event | None:
    """
    Return the event for followers of *labels*; None if it does not concern them.

    Network events do not carry the labels of containers; *known* are the ids of the
    containers that have them.
    """
    kind, (action, detail) = data.get("Type"), _action(data)
    actor = data.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    if action not in TOLD:
        return None
    if kind == "network" and action in {"connect", "disconnect"}:
        who = attributes.get("container") or ""
        network = str(attributes.get("name") or "")
        return Event(action, who, network) if who in known else None
    if kind != "container" or not carries(attributes, labels):
        return None
    if action in _DETAILS:
        found = (attributes.get(name) for name in _DETAILS[action])
        detail = str(next(filter(None, found), ""))
    return Event(action, actor["ID"], detail)


def _action(data: Json) -> tuple[str, str]:
    action, _, detail = str(data.get("Action") or "").partition(": ")
    return _ACTIONS.get(action, action), detail or str(data.get("HealthStatus") or "")


class Stops:
    """
    Detector of requested stops, which Podman does not always announce.

    Podman sends an event for a stop only if it notices the end before the helper that
    cleans up. The stop cleans up as well, so a second `cleanup` of one run shows that
    the end was requested.
    """

    def __init__(self) -> None:
        self._cleaned: set[str] = set()
        self._told: set[str] = set()

    def of(self, event: Event) -> Event | None:
        """Return *event* as it is to be passed on; None if it says nothing."""
        if event.action in {"start", "destroy"}:
            self._cleaned.discard(event.id)
            self._told.discard(event.id)
        if event.action == CLEANED:
            if event.id not in self._cleaned:
                self._cleaned.add(event.id)
                return None
            event = Event("stop", event.id)
        if event.action == "stop":
            if event.id in self._told:
                return None
            self._told.add(event.id)
        return event


def carries(attributes: Mapping[str, str], labels: Mapping[str, str | None]) -> bool:
    """Return whether *attributes* have all of *labels*; None matches any value."""
    return all(
        name in attributes and value in {None, attributes[name]}
        for name, value in labels.items()
    )


def label_filter(labels: Mapping[str, str | None]) -> list[str]:
    """Return *labels* in the form of the engine's filter."""
    return [
        name if value is None else f"{name}={value}" for name, value in labels.items()
    ]


def lines(text: str) -> list[LogLine]:
    """
    Split output into lines by RFC 3339 prefix; undated lines join the last one.

    Lines dated to the whole second are told apart by their order within it.
    """
    found: list[LogLine] = []
    for line in text.splitlines():
        at = last = found[-1].at if found else 0
        if stamped := _STAMPED.fullmatch(line):
            moment, fraction, zone, line = stamped.groups()
            at = int(datetime.fromisoformat(moment + zone).timestamp()) * SECOND
            if fraction:
                at += int(fraction.ljust(9, "0"))
            elif at // SECOND == last // SECOND:
                at = last + 1
        found.append(LogLine(at, line))
    return found
