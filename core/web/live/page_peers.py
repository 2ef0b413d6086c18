"""WHEP and WHIP for the pages' Live tab, by the visitor's cookie (whip.py).

    talking_head_peers?do=watch&session=ID&lang=en    POST, OPTIONS: as /live/ID/whep of the API
    talking_head_peers?do=speak&session=ID&lang=en    POST, OPTIONS: as /live/ID/whip
    talking_head_peers?peer=NAME&lang=en              PATCH, DELETE: a connection

At this address wherever the pages are mounted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from core.errors import TalkingHeadError
from core.service.errors import Malformed
from core.service.owners import Asgi, Receive, Scope, Send
from core.service.peer_connections import needed
from core.service.quotas import RateLimit
from core.service.talking import Talking
from core.settings import Settings
from core.web.addresses import path_below
from core.web.guards.visitor_files import known_visitor
from core.web.live.connection import Told
from core.web.live.whip import options, patch, take_offer
from core.web.statuses import answer_error

PEERS = "talking_head_peers"
PER_MINUTE = 120
"""Requests of one visitor."""


def is_of_peers(scope: Scope) -> bool:
    return scope["type"] == "http" and path_below(scope).rpartition("/")[2] == PEERS


class PagePeers:
    """ASGI middleware. talking, told_in: as `PageSockets` takes them."""

    def __init__(self, app: Asgi, talking: Callable[[Scope], Talking], told_in: Callable[[str], Told], settings: Settings) -> None:
        self._app, self._talking, self._told_in, self._settings = app, talking, told_in, settings
        self._requests = RateLimit(PER_MINUTE, "requests of WebRTC")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_of_peers(scope):
            await self._app(scope, receive, send)
            return
        request = Request(cast(Any, scope), receive)
        told = self._told_in(request.query_params.get("lang", ""))
        try:
            owner = known_visitor(scope)
            self._requests.take(owner)
            response = await self._answer(request, owner)
        except TalkingHeadError as error:
            await answer_error(error, {"error": told(error)}, scope, receive, send)
            return
        await response(cast(Any, scope), receive, cast(Any, send))

    async def _answer(self, request: Request, owner: str) -> Response:
        peers = needed(self._talking(request.scope).peers, self._settings)
        query, method = request.query_params, request.method
        takes = {"watch": peers.watch, "speak": peers.speak}
        if peer := query.get("peer"):
            if method == "PATCH":
                return await patch(request, peers, owner, peer)
            if method == "DELETE":
                await peers.end(peer, owner)
                return Response()
        elif take := takes.get(query.get("do", "")):
            if method == "OPTIONS":
                return options(peers, owner)
            if method == "POST":
                session = query.get("session", "")
                more = {"lang": query.get("lang", "")}
                return await take_offer(
                    request, peers, owner, lambda offer: take(session, owner, offer),
                    lambda resource: f"{PEERS}?{urlencode({'peer': resource, **more})}",
                )  # fmt: skip
        raise Malformed("There is nothing at this address.", "The page knows which there are.")
