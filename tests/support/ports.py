"""A free port on loopback for a server of the tests."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """Below those that the system gives to outgoing connections, one of which would take it while its server is away."""
    for port in random.sample(range(20_000, 32_768), 1000):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise OSError("there is no free port")
