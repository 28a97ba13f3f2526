"""Semantic versions: `v1.2.3-rc.1+blue`, the `v` optional (semver.org, §2, §9-11)."""

from __future__ import annotations

import re

from .version import LONGEST, SUFFIX, Version

_SEMVER = re.compile(r"(v?)([0-9]+)\.([0-9]+)\.([0-9]+)" + SUFFIX, re.ASCII)


def parse(name: str) -> Version | None:
    """
    Read *name*; None if it is no semantic version.

    Leading zeros are accepted, and absent from the version's `text`.
    """
    match = _SEMVER.fullmatch(name)
    if match is None or len(name) > LONGEST:
        return None
    numbers = (int(match[2]), int(match[3]), int(match[4]))
    suffix = name[match.end(4) :]
    return Version(
        tag=name,
        text=match[1] + ".".join(map(str, numbers)) + suffix,
        numbers=numbers,
        pre_release=match["pre"] or "",
        slot=match["slot"] or "",
    )
