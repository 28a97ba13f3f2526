"""Keeping a program running, and replacing it without losing a connection."""
