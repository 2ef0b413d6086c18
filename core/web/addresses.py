"""The address that a program serves on: checked before anything is loaded, and printed as one opens it."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket

from core.errors import InputError
from core.service.owners import Scope

MAX_PORT = 65_535
WAITING = 2048
"""Connections that the system keeps until the server takes them."""


def port_number(text: str) -> int:
    """A `type` for argparse: 0 to 65535, 0 for a free one."""
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= MAX_PORT and len(text) <= 5):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port from 0 to {MAX_PORT}")
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """The socket to serve on. Raises InputError where the address cannot be had."""
    host = plain(host)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=WAITING)
    except (socket.gaierror, UnicodeError) as error:
        hint = "Choose one with --host, such as 127.0.0.1, 0.0.0.0 or ::1."
        raise InputError(f"This machine has no address {host[:80]!r}.", hint) from error
    except (OSError, OverflowError) as error:
        why = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
        hint = "Choose another with --port, or another address with --host."
        raise InputError(f"Port {port} on {host} cannot be used{why}.", hint) from error


def free_port(host: str, port: int) -> int:
    """`port` where it can be listened on now, any free one for 0. Raises InputError."""
    with listen(host, port) as sock:
        return int(sock.getsockname()[1])


def address(host: str, port: int) -> str:
    """What to open in a browser."""
    shown = plain(host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` is reached from this machine only."""
    try:
        return ipaddress.ip_address(plain(host)).is_loopback
    except ValueError:
        return host == "localhost"


def path_below(scope: Scope) -> str:
    """The path of a request below where the application is mounted: without the root path of the server, and of mounts on the way."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def plain(host: str) -> str:
    """An IPv6 address without its brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def address_of(peer: str) -> str:
    """What is counted as one address: an IPv4 address, the network of an IPv6 address (/64: what one customer has), else the text."""
    try:
        found = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
