"""Docker and Podman, and an engine in memory."""
