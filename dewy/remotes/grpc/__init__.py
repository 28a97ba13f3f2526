"""Registries that are asked by gRPC; grpcio is loaded with this package."""

from .quiet import load

__all__: list[str] = []

load()
