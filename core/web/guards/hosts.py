"""Checks under which name a program was reached and from which web page, before anything else of a request is looked at.

A foreign name in Host is a foreign web page's name that was made to point here, and a foreign Origin is such a page itself.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.service.owners import Asgi, Receive, Scope, Send
from core.settings import Settings
from core.web.addresses import is_loopback, plain
from core.web.gradio_environment import root_address
from core.web.guards.refusals import Forbidden, Misdirected, Refusal, refuse

ANY = "*"
_HOST_HINT = "Name it in TALKING_HEAD_ALLOWED_HOSTS if it is this server's; of a proxy, its address in TALKING_HEAD_TRUSTED_PROXIES."
_ORIGIN_HINT = (
    "Open the page under the server's own address. Behind a proxy, name the server in TALKING_HEAD_ALLOWED_HOSTS and the proxy in "
    "TALKING_HEAD_TRUSTED_PROXIES."
)
_ORIGINS_HINT = " Other origins that may call the server are named in TALKING_HEAD_CORS_ORIGINS."


@dataclass(frozen=True)
class Reach:
    """names: in lower case; "*.example.org" stands for all names below, "*" for every name. loopback: only this machine reaches the server.
    origins: of the pages themselves, where they are known: a proxy may send another Host.

    An IP address in Host is as good as a name that is known where others reach the server: no foreign page has one as its name.
    """

    names: frozenset[str]
    loopback: bool
    origins: frozenset[str] = frozenset()

    def knows(self, host: str) -> bool:
        """host: the value of a Host header."""
        name = host_name(host)
        if name is None:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            address = None
        if address is not None and (address.is_loopback or not self.loopback):
            return True
        return (
            name == "localhost"
            or name in self.names
            or ANY in self.names
            or any(known.startswith("*.") and name.endswith(known[1:]) for known in self.names)
        )


def reach_of(settings: Settings, host: str) -> Reach:
    """host: what the server listens on, an address or a name. A Space (SPACE_HOST in the environment) knows its own name, and so does
    who was given a whole address as GRADIO_ROOT_PATH.
    """
    root = root_address()
    own = (plain(host), os.environ.get("SPACE_HOST", ""), (root.hostname or "") if root is not None else "")
    names = frozenset(name.strip().lower().rstrip(".") for name in (*own, *settings.allowed_hosts) if name.strip())
    origins = frozenset({f"{root.scheme}://{root.netloc}".lower()}) if root is not None else frozenset[str]()
    return Reach(names, is_loopback(host), origins)


class AddressGuard:
    """ASGI: answers 421 to a Host that is not this server's, 403 to an Origin that is neither its own nor in `origins`.

    Also to event streams and WebSockets. origins: None where none can be configured. excused: tells of a request that its Origin does not
    matter, since it brings a secret that no browser adds by itself.
    """

    def __init__(
        self, app: Asgi, reach: Reach, origins: Collection[str] | None = None, excused: Callable[[Scope], bool] = lambda scope: False
    ) -> None:
        self._app, self._reach, self._excused = app, reach, excused
        self._origins = origins or ()
        self._hint = _ORIGIN_HINT if origins is None else _ORIGIN_HINT + _ORIGINS_HINT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] in ("http", "websocket") else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await refuse(problem, scope, receive, send)

    def _problem(self, scope: Scope) -> Refusal | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._reach.knows(hosts[0]):
            return Misdirected(f"This server is not {', '.join(hosts)[:80]!r}.", _HOST_HINT)
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if not origins or self._excused(scope) or all(self._own(origin, hosts[0]) for origin in origins):
            return None
        return Forbidden(f"Web pages of {', '.join(origins)[:80]} may not use this server.", self._hint)

    def _own(self, origin: str, host: str) -> bool:
        if origin in self._origins or origin.lower() in self._reach.origins:
            return True
        try:
            parts = urlsplit(origin)
            return parts.scheme in ("http", "https") and _same(parts.netloc, host, parts.scheme)
        except ValueError:
            return False


def host_name(host: str) -> str | None:
    """The name or address in a Host header, in lower case; None for what is none."""
    if not host or any(char in host for char in "/@?#\\ ,"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises where it is no port
        return parts.hostname.rstrip(".") if parts.hostname else None
    except ValueError:
        return None


def _same(netloc: str, host: str, scheme: str) -> bool:
    default = {"http": ":80", "https": ":443"}[scheme]
    return netloc.lower().removesuffix(default) == host.lower().removesuffix(default)
