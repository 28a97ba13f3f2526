"""Docker and Podman, and an engine that is memory."""
