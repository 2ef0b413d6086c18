"""The WebSockets of the pages' Chat tab: live sessions and conversations of the visitor, as the API has them for the holders of keys.

talking_head_live?avatar=TOKEN&lang=en    as WS /live
talking_head_chat?lang=en                 as WS /chat

At these addresses wherever the pages are mounted. lang: of the page, in which it is told what is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs, quote

from starlette.websockets import WebSocket, WebSocketDisconnect

from core.errors import TalkingHeadError
from core.service.owners import Asgi, Receive, Scope, Send
from core.service.quotas import ConcurrencyLimit
from core.service.talking import Talking
from core.web.addresses import path_below
from core.web.guards.visitor_files import FILE, known_visitor
from core.web.live.chat_socket import serve_chat
from core.web.live.connection import Told
from core.web.live.live_socket import serve_live
from core.web.statuses import answer_error

LIVE, CHAT = "talking_head_live", "talking_head_chat"
MAX_SOCKETS, OWNER_SOCKETS = 512, 8
"""Open at the same time: in all, and of one visitor."""
MAX_TOKEN_CHARS = 100


class PageSockets:
    """ASGI middleware. talking: asked for with each connection, for it exists only while the server runs. told_in: what a visitor is told
    of an error, by the language of the page.
    """

    def __init__(self, app: Asgi, talking: Callable[[Scope], Talking], told_in: Callable[[str], Told]) -> None:
        self._app, self._talking, self._told_in = app, talking, told_in
        self._places = ConcurrencyLimit(MAX_SOCKETS, OWNER_SOCKETS, "connections")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = path_below(scope).rpartition("/")[2] if scope["type"] == "websocket" else ""
        if name not in (LIVE, CHAT):
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        told = self._told_in(query.get("lang", [""])[0])
        socket = WebSocket(cast(Any, scope), receive, cast(Any, send))
        talking = self._talking(scope)
        try:
            owner = known_visitor(scope)
            with self._places.slot(owner):
                if name == CHAT:
                    await serve_chat(socket, talking.chats, owner, partial(_video_of, talking, owner), told)
                else:
                    await serve_live(socket, talking.live, owner, query.get("avatar", [""])[0][:MAX_TOKEN_CHARS], told)
        except WebSocketDisconnect:
            return
        except TalkingHeadError as error:  # before the handshake
            await answer_error(error, {"error": told(error)}, scope, receive, send)


async def _video_of(talking: Talking, owner: str, job: str) -> str | None:
    """Relative to the page."""
    video = await asyncio.to_thread(talking.chats.video, job, owner)
    return None if video is None else f"{FILE}{quote(str(video))}"
