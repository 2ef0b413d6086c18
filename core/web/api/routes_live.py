"""WS /live: speech in as it is spoken, video out as it is due (core/web/live)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, WebSocket

from core.service.job_views import error_view
from core.web.api.context import Here, Owner
from core.web.live.live_socket import serve_live

router = APIRouter(tags=["live"])


@router.websocket("/live")
async def live(socket: WebSocket, context: Here, owner: Owner, avatar: Annotated[str, Query(max_length=100)]) -> None:
    await serve_live(socket, context.live, owner, avatar, error_view)
