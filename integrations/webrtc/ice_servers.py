"""The STUN and TURN servers of a deployment, for its clients and for the server itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from aiortc import RTCIceServer

from core.service.peer_connections import IceServer
from core.settings import Settings
from integrations.webrtc.offers import Scope

SPARE_S = 600
"""How long a name for TURN is good after the longest session would be over: until then a relay asks for it again and again."""


class IceServers:
    """settings: of the deployment. Names that end are made as coturn's `use-auth-secret` takes them: when they end and whose they are,
    with an HMAC-SHA1 of that as password.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.relay_only = settings.webrtc_relay_only

    @property
    def scope(self) -> Scope:
        """Of the addresses in offers."""
        if self.relay_only:
            return "all"
        return "public" if self._settings.stun_url or self._settings.turn_urls else "none"

    def of(self, who: str) -> list[IceServer]:
        """who: is in the name, by a digest."""
        told = self._settings
        servers = [IceServer(told.stun_url)] if told.stun_url else []
        return [*servers, *(IceServer(url, *self._credentials(who)) for url in told.turn_urls)]

    def own(self) -> list[RTCIceServer]:
        """None at all where none are set: the library would ask one of its own choice."""
        return [RTCIceServer(server.url, server.username or None, server.credential or None) for server in self.of("server")]

    def _credentials(self, who: str) -> tuple[str, str]:
        told = self._settings
        if told.turn_secret is not None:
            whose = hashlib.sha256(who.encode()).hexdigest()[:12]
            name = f"{int(time.time() + told.max_live_s) + SPARE_S}:{whose}"
            code = hmac.new(told.turn_secret.get_secret_value().encode(), name.encode(), hashlib.sha1).digest()
            return name, base64.b64encode(code).decode()
        return told.turn_username, "" if told.turn_password is None else told.turn_password.get_secret_value()
