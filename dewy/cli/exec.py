"""`dewy exec`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from .. import loop
from ..errors import ConfigError, DewyError
from .arguments import options_for, settings_from

PATIENCE = 10.0
HOSTS = {"docker": "--host", "podman": "--url"}

Container = Mapping[str, Any]


@click.command("exec", short_help="Run a command in a running replica.")
@options_for("exec")
@click.option(
    "--replica", metavar="WHICH", help="Run it in this replica, by index, name or id."
)
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGS]..."
)
@click.pass_context
def command(
    ctx: click.Context, /, replica: str | None, words: tuple[str, ...], **given: object
) -> None:
    """
    Run COMMAND in a replica of the `dewy container` that runs here.

    Takes the first replica in service unless --replica names one. Needs the engine's
    own tool, docker or podman. Input, output, terminal and exit status are COMMAND's.
    """
    from ..admin.client import ask

    if not words:
        raise click.UsageError("exec needs a command: dewy exec -- COMMAND [ARGS…]")
    if replica == "":
        raise click.UsageError("--replica must be an index, a name or an id, not empty")
    told = loop.run(ask(settings_from(ctx).private, "containers", PATIENCE))
    if not told.get("engine"):
        raise DewyError("no containers run here; exec is for dewy container")
    chosen = choose(told["containers"] or (), replica)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    line = command_line(told["engine"], chosen["id"], words, terminal=terminal)
    sys.stdout.flush()
    os.execv(_tool(line[0]), line)


def choose(containers: Sequence[Container], which: str | None) -> Container:
    """
    Return the container of the replica *which* (index, name or beginning of the id).

    Without it, the first that serves.

    Raises:
        DewyError: there is no such container.
    """
    found = [each for each in containers if _is(each, which)]
    # One that is leaving may have the same index.
    found.sort(key=lambda each: each["phase"] != "serving")
    if found:
        return found[0]
    if which is None:
        raise DewyError("no replica serves")
    names = ", ".join(each["name"] for each in containers) or "none"
    raise DewyError(f"no replica {which} is here (there are: {names})")


def _is(container: Container, which: str | None) -> bool:
    if which is None:
        return str(container["phase"]) == "serving"
    if which.isdecimal() and len(which) < 6:
        return str(container["labels"].get("dewy.replica", "")) == which
    return which == container["name"] or str(container["id"]).startswith(which)


def command_line(
    engine: Mapping[str, str], container: str, words: Sequence[str], *, terminal: bool
) -> list[str]:
    """Return the command line of the engine's tool."""
    tool = engine["flavour"]
    modes = ["-i", "-t"] if terminal else ["-i"]
    return [tool, HOSTS[tool], engine["address"], "exec", *modes, container, *words]


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ConfigError(f"{name} is not on PATH; dewy exec runs its exec")
    return path
