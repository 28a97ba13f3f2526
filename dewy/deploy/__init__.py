"""Bringing a release up: deciding, fetching, unpacking, switching, remembering."""
