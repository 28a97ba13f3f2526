"""`dewy container list`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from .. import loop
from ..errors import DewyError
from .arguments import options_for, settings_from
from .output import as_json, columns, refresh

if TYPE_CHECKING:
    from ..admin.discovery import Instance

GAP = 4

Containers = Iterable[Mapping[str, Any]]


@click.command("container list", short_help="List the containers in service.")
@options_for("container list")
@click.option("--json", "json_", is_flag=True, help="Print the API's JSON.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@click.pass_context
def command(ctx: click.Context, /, json_: bool, watch: bool, **given: object) -> None:
    """List the containers of the first `dewy container` on this host."""
    port = settings_from(ctx).admin_port
    if not watch:
        click.echo(screen(port, json_))
        return
    refresh(lambda: screen(port, json_), json_=json_)


def screen(first: int, json_: bool) -> str:
    """
    Return the text about the dewy that answers on one of the ports from *first*.

    Raises:
        DewyError: dewy answers on none of the ports.
    """
    from ..admin.discovery import containers, nearby

    found = chosen(loop.run(nearby(first)), first)
    answer = loop.run(containers(found.port))
    if json_:
        return as_json(answer)
    lines = table(answer["containers"] or ())
    if found.port != first:
        lines += ["", f"(Connected to admin API on port {found.port})"]
    return "\n".join(lines)


def chosen(found: Sequence[Instance], first: int) -> Instance:
    """
    Return the instance in *found* that keeps containers.

    Raises:
        DewyError: *found* has no dewy that keeps containers.
    """
    from ..admin.discovery import tried

    for each in found:
        if each.mode == "container":
            return each
    ports = tried(first)
    raise DewyError(f"no running dewy found (tried ports {ports[0]}-{ports[-1]})")


def table(containers: Containers) -> list[str]:
    """Return the containers as people read them, by their names."""
    rows = sorted(
        (str(c.get("name", "")), str(c.get("ip_port", "")), _time(c))
        for c in containers
    )
    if not rows:
        return ["No containers found."]
    heading = ("UPSTREAM", "DEPLOY TIME", "NAME")
    return columns([heading, *((at, when, name) for name, at, when in rows)], GAP)


def _time(container: Mapping[str, Any]) -> str:
    text = str(container.get("deployed_at", ""))
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return text
