"""Names of applications."""

from __future__ import annotations


def app_name(registry: str, name: str = "") -> str:
    """
    Return the application's name in the admin API and labels: *name* if given, else the
    end of its registry URL.

    "" where there is neither.
    """
    if name:
        return name
    rest = registry.partition("://")[2].partition("?")[0]
    return rest.rstrip("/").rpartition("/")[2].partition(":")[0]
