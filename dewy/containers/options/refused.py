"""Options of `docker run` that dewy does not take, and why."""

from __future__ import annotations

__all__ = ["REFUSED", "REFUSED_SHORTS", "SHARED", "UNFIT_NETWORKS", "unfit"]

_HOST = "it would open this host to the container"
_DEVICE = "limits of devices are this host's own business; leave it out"
_PROXY = "dewy's proxy is the way in; write --port PROXY:CONTAINER before --"
_SHARED = "replicas cannot share it; leave it out"
_LOOSE = "replicas run in the background, without a terminal; leave it out"
_OTHERS = "a replica must not depend on a container that dewy does not keep"

REFUSED = {
    "privileged": _HOST,
    "cap-add": _HOST,
    "device": _HOST,
    "device-cgroup-rule": _HOST,
    "device-read-bps": _DEVICE,
    "device-read-iops": _DEVICE,
    "device-write-bps": _DEVICE,
    "device-write-iops": _DEVICE,
    "userns": _HOST,
    "use-api-socket": _HOST,
    "publish": _PROXY,
    "publish-all": _PROXY,
    "link": _OTHERS + "; give --network a network that both are in",
    "volumes-from": _OTHERS + "; give --volume the volume's name",
    "interactive": _LOOSE,
    "tty": _LOOSE,
    "attach": _LOOSE,
    "cidfile": "`dewy container list --json` tells the ids",
    "label-file": "its labels cannot be told from dewy's own; use --label",
    "ip": _SHARED,
    "ip6": _SHARED,
    "link-local-ip": _SHARED,
    "mac-address": _SHARED,
    "annotation": "dewy hands none to what runs containers; use --label",
    "isolation": "Linux has one kind only; leave it out",
    "volume-driver": "name it in --mount type=volume,volume-driver=…",
    "help": "`dewy container --help` shows the options that stand before --",
}

REFUSED_SHORTS = {
    "a": "attach",
    "i": "interactive",
    "p": "publish",
    "P": "publish-all",
    "t": "tty",
}

SHARED = frozenset({"bridge", "default"})
"""The engine's own networks, in which containers have no names."""

UNFIT_NETWORKS = {
    "host": "its replicas could not listen on the same port",
    "none": "the proxy could not reach it",
    "container": _OTHERS,
    "ns": _OTHERS,
    "private": "without --network replicas get a network of their own",
    "slirp4netns": "replicas need a network they share",
    "pasta": "replicas need a network they share",
}


def unfit(network: str) -> str | None:
    """Return why no replica can be in *network*; None if it can."""
    return UNFIT_NETWORKS.get(network.partition(":")[0].lower())
