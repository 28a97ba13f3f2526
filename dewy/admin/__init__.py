"""
Control of a running dewy: its control socket and HTTP API, and the clients for them.
"""
