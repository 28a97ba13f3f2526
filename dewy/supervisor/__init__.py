"""Supervision of a program, and its replacement without losing a connection."""
