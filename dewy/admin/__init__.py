"""Talking to a running dewy: its control socket, and the client for it."""
