"""Headers of reverse proxies: believed from configured proxies, and removed from all other requests."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

import uvicorn

from core.service.owners import Asgi, Receive, Scope, Send, header
from core.settings import Settings

Networks = Sequence[IPv4Network | IPv6Network]

_SAYS_WHERE = {b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-server", b"x-forwarded-prefix"}


_INSIDE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")


def trusted_proxies(settings: Settings) -> Networks:
    """Those of the settings; in a Space, which only its own proxy reaches, the networks inside a cluster where none are given."""
    if settings.trusted_proxies or not os.environ.get("SPACE_ID"):
        return settings.trusted_proxies
    return [ip_network(network) for network in _INSIDE]


def is_trusted(peer: str, trusted: Networks) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in trusted)


class TrustedProxies:
    """ASGI, the outermost layer: from here on `client`, `scheme` and the Host header are those of the visitor.

    That is told by X-Forwarded-For, -Proto and -Host of the proxies in `trusted`. Of all others, X-Forwarded-Host and the like are
    removed; X-Forwarded-For stays where it is, as a sign that somebody forwards, and nothing else.
    """

    def __init__(self, app: Asgi, trusted: Networks) -> None:
        self._app, self._trusted = app, trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            client = scope.get("client")
            scope = {**scope, **(self._forwarded(scope) if client and is_trusted(client[0], self._trusted) else _plain(scope))}
        await self._app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> dict[str, object]:
        changed: dict[str, object] = {}
        for address in reversed(_listed(header(scope, "x-forwarded-for"))):
            changed["client"] = (address, 0)
            if not is_trusted(address, self._trusted):
                break
        proto = _first(header(scope, "x-forwarded-proto")).lower()
        if proto in ("http", "https"):
            changed["scheme"] = proto if scope["type"] == "http" else proto.replace("http", "ws")
        host = _first(header(scope, "x-forwarded-host"))
        if host:
            others = [(name, value) for name, value in scope["headers"] if name not in (b"host", b"x-forwarded-host")]
            said = host.encode("latin-1")
            changed["headers"] = [(b"host", said), (b"x-forwarded-host", said), *others]
        return changed


def trust_proxies(config: uvicorn.Config, trusted: Networks) -> None:
    """Puts TrustedProxies before the application of a uvicorn server, instead of uvicorn's own trust in whoever connects from loopback.

    The server may be running: it holds for connections to come.
    """
    config.proxy_headers = False
    config.app = TrustedProxies(config.app, trusted)  # type: ignore[arg-type]
    if config.loaded:
        config.loaded = False
        config.load()


def _plain(scope: Scope) -> dict[str, object]:
    return {"headers": [(name, value) for name, value in scope["headers"] if name not in _SAYS_WHERE]}


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _first(value: str) -> str:
    return next(iter(_listed(value)), "")
