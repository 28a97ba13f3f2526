"""Registries that are asked by gRPC; `quiet` is the first to load grpcio."""

from . import quiet

__all__ = ["quiet"]
