"""What an application is called."""

from __future__ import annotations


def app_name(registry: str) -> str:
    """
    The application's name as the admin API tells it: the end of its registry URL.

    "" where there is no registry.
    """
    rest = registry.partition("://")[2].partition("?")[0]
    return rest.rstrip("/").rpartition("/")[2].partition(":")[0]
