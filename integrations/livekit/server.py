"""The worker's HTTP interface: an agent asks for the avatar in its room.

POST /launch   {"token": "...", "agent": "..."} → 201    GET /health → {"free": 2}
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.errors import BusyError, EngineUnavailable, TalkingHeadError
from core.settings import Settings
from core.web.connections import guard_connections
from integrations.livekit.rooms import RETRY_S, AvatarRooms, RoomError

MAX_BODY_BYTES = 32 * 1024
MAX_NAME_CHARS = 256
_STATUSES: dict[type[TalkingHeadError], int] = {BusyError: 503, EngineUnavailable: 503, RoomError: 502}


def server_of(rooms: AvatarRooms, key: str, settings: Settings) -> uvicorn.Server:
    """Its connections are bounded as those of the API: whoever connects and says nothing keeps no agent out. key: as of `build_app`."""
    config = uvicorn.Config(build_app(rooms, key), log_level="warning")
    guard_connections(config, settings)
    return uvicorn.Server(config)


def build_app(rooms: AvatarRooms, key: str) -> Starlette:
    """key: what `Authorization: Bearer` must say. The rooms are left when the server stops."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await rooms.aclose()

    async def launch(request: Request) -> JSONResponse:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {key}".encode()):
            return _refusal(401, "The key is wrong.", "Send Authorization: Bearer and the worker's key.")
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                return _refusal(413, f"More than {MAX_BODY_BYTES} bytes came.", "Send the token, and the agent's identity.")
        asked = _read(body)
        if asked is None:
            return _refusal(400, "That is no request for an avatar.", 'Send {"token": "...", "agent": "..."}; agent may be left out.')
        try:
            await rooms.join(*asked)
        except TalkingHeadError as error:
            return _refusal(_STATUSES.get(type(error), 422), error.message, error.hint)
        return JSONResponse({}, 201)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"free": rooms.free})

    return Starlette(routes=[Route("/launch", launch, methods=["POST"]), Route("/health", health)], lifespan=lifespan)


def _read(body: bytes) -> tuple[str, str | None] | None:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or not set(asked) <= {"token", "agent"}:
        return None
    token, agent = asked.get("token"), asked.get("agent")
    if not isinstance(token, str) or not token or not (agent is None or isinstance(agent, str) and 0 < len(agent) <= MAX_NAME_CHARS):
        return None
    return token, agent


def _refusal(status: int, message: str, hint: str) -> JSONResponse:
    headers = {"Retry-After": f"{RETRY_S:.0f}"} if status == 503 else {}
    return JSONResponse({"error": {"message": message, "hint": hint}}, status, headers)
