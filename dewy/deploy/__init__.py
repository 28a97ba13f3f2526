"""Deployment of releases: decision, fetch, unpacking, switch, state and history."""
