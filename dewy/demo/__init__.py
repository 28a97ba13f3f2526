"""`dewy demo`: the main task, shown on this machine within half a minute."""

from .scenario import run

__all__ = ["run"]
