"""`dewy demo`."""

from __future__ import annotations

import click


@click.command("demo", short_help="Show it: a deploy, and a bad release rolled back.")
def command() -> int:
    """
    Deploy a small web server twice under load, in a temporary directory.

    The second new version is broken, on purpose. Ends with what became of every
    request; the exit status is 1 if one failed.
    """
    from ..demo import run

    return run()
