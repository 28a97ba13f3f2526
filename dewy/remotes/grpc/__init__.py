"""Registries that are asked by gRPC."""
