"""Dewy keeps one application on one host at its newest release, by pulling."""

__version__ = "0.1.0"
__all__ = ["__version__"]
