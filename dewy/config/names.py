"""What an application is called."""

from __future__ import annotations


def app_name(registry: str, name: str = "") -> str:
    """
    What the admin API and labels call the application: *name*, if it was given
    one, else the end of its registry URL.

    "" where there is neither.
    """
    if name:
        return name
    rest = registry.partition("://")[2].partition("?")[0]
    return rest.rstrip("/").rpartition("/")[2].partition(":")[0]
