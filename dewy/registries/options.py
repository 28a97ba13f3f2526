"""What every registry's URL may say in its query, and how it then chooses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from urllib.parse import SplitResult

from .. import urls
from ..errors import NoRelease
from ..release import Refusal
from ..versions import Constraint, Rules, Selection, Version, choose, choose_artifact

COMMON: Mapping[str, str] = {
    "pre-release": "false",
    "artifact": "",
    "calver": "",
    "channel": "",
}


@dataclass(frozen=True, slots=True)
class Options:
    """
    How one registry chooses for this host.

    Attributes:
        rules: Which versions count.

        artifact: The exact name of the file wanted, or "" to go by platform.

        selection: What this host is.
    """

    rules: Rules
    artifact: str
    selection: Selection

    @classmethod
    def read(
        cls,
        url: SplitResult,
        selection: Selection,
        allowed: Mapping[str, str] = COMMON,
        *,
        dashed_slot: bool = False,
    ) -> Self:
        """
        Take them from the query of *url*, where the options *allowed* may stand.

        With *dashed_slot* a name may end in `-SLOT`, for want of `+SLOT`.

        Raises:
            ConfigError: an unknown option, or a value that cannot be.
        """
        chosen = {**COMMON, **urls.options(url, allowed)}
        constraint = chosen.get("constraint")
        rules = Rules(
            pre_release=urls.boolean("pre-release", chosen["pre-release"]),
            calver=chosen["calver"],
            channels=tuple(filter(None, chosen["channel"].split(","))),
            slot=selection.slot,
            constraint=Constraint.parse(constraint) if constraint else None,
            dashed_slot=dashed_slot,
        )
        return cls(rules, chosen["artifact"], selection)

    def version(
        self, names: Iterable[str], where: str, tag: str | None = None
    ) -> tuple[Version, tuple[Refusal, ...]]:
        """
        The newest version among the *names* that *where* holds, or the one
        called *tag*; and the names it was preferred to.

        Who names a version means it, so that pre-releases, channels and a
        constraint are no matter then. The slot still is: it says which host
        this is.

        Raises:
            NoRelease: there is none.
        """
        rules = self.rules
        if tag is not None:
            names = [name for name in names if name == tag]
            rules = replace(rules, pre_release=True, channels=(), constraint=None)
        choice = choose(names, rules)
        if choice.best is None:
            wanted = "version" if tag is None else f"version {tag}"
            raise NoRelease(f"{where} holds no {wanted} for this host", choice.refused)
        return choice.best, tuple(choice.refused)

    def file(
        self, names: Iterable[str], where: str, since: datetime | None
    ) -> tuple[str, tuple[Refusal, ...]]:
        """
        The artifact for this host among the file *names* of the version that is
        *where* since *since*; and the names it was preferred to.

        Raises:
            NoRelease: there is none.
        """
        choice = choose_artifact(names, self.selection.platform, self.artifact)
        if choice.name is None:
            wanted = f"file {self.artifact}" if self.artifact else "artifact"
            raise NoRelease(
                f"{where} holds no {wanted} for this host", choice.refused, since
            )
        return choice.name, tuple(choice.refused)
