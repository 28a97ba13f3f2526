"""Replicas of an image in Docker or Podman, behind dewy's own proxy."""
