"""Limits wrong keys: an address that sent too many is refused for a while."""

from __future__ import annotations

from core.service.errors import TooMany
from core.service.owners import Asgi, Receive, Scope, Send
from core.service.quotas import RateLimit
from core.web.addresses import address_of, path_below
from core.web.api.errors import as_body, as_response
from core.web.api.keys import Keys
from core.web.guards.refusals import answer

HEALTH = "/health"
"""It asks for no key."""


class WrongKeys:
    """ASGI. wrong: how many an address may send."""

    def __init__(self, app: Asgi, keys: Keys, wrong: RateLimit) -> None:
        self._app, self._keys, self._wrong = app, keys, wrong

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and self._keys.sent(scope) and path_below(scope) != HEALTH:
            sender = address_of((scope.get("client") or ("",))[0])
            try:
                self._wrong.check(sender)
                if not self._keys.allows_page(scope):
                    self._wrong.take(sender)
            except TooMany as error:
                headers = {"Retry-After": as_response(error).headers["Retry-After"]}
                await answer(429, as_body(error), headers, scope, receive, send)
                return
        await self._app(scope, receive, send)
