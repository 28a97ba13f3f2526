"""`dewy why`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from .. import loop
from .arguments import options_for, settings_from, version_argument
from .output import as_json, localised


@click.command("why", short_help="Explain why VERSION runs here, or why not.")
@options_for("why")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@version_argument(required=True)
@click.pass_context
def command(ctx: click.Context, /, version: str, json_: bool, **given: object) -> int:
    """
    Explain why VERSION runs in this directory, or why it does not.

    The answer comes from the state, the history and the registry as it is now. The
    exit status is 1 if nothing is known about VERSION.
    """
    from ..admin.why import why

    found = loop.run(why(settings_from(ctx), version))
    click.echo(as_json(found) if json_ else "\n".join(lines(found)))
    return 1 if found["verdict"] == "unknown" else 0


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the answer, as people read it, with the output of the last failure."""
    yield f"{found['version']}: {found['verdict']}"
    yield from (f"- {localised(sentence)}" for sentence in found["why"])
    tail = next((each["log_tail"] for each in reversed(found["records"])), ())
    if tail:
        yield "what it wrote last:"
        yield from (f"    {line}" for line in tail)
