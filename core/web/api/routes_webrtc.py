"""WHEP and WHIP: live sessions watched and spoken to over WebRTC (core/web/live/whip.py, docs/webrtc.md)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from core.service.errors import Malformed
from core.service.live_messages import LiveRequest
from core.service.owners import root_of
from core.service.peer_connections import PeerAnswer, PeerConnections, needed
from core.web.api import spec
from core.web.api.context import Here, Owner
from core.web.live.whip import FRAGMENT, SDP, options, patch, take_offer

router = APIRouter(tags=["webrtc"])
_ERRORS = (404, 408, 413, 415, 422, 501, 503)
_ANSWER: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The answer; Location names the connection, X-Live-Session the session",
        "content": {SDP: {"schema": {"type": "string"}}},
    }
}
_NONE: dict[int | str, dict[str, Any]] = {204: {"description": "Nothing to say"}}


def _body(kind: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": {"type": "string", "minLength": 1}}}}}


_TAKES_OFFER: dict[str, Any] = {
    "status_code": 201,
    "response_class": Response,
    "responses": {**_ANSWER, **spec.errors(*_ERRORS)},
    "openapi_extra": _body(SDP),
}


async def _peers(context: Here) -> PeerConnections:
    return needed(context.talking.peers, context.settings)


Peers = Annotated[PeerConnections, Depends(_peers)]


async def _take(request: Request, peers: PeerConnections, owner: str, take: Callable[[str], Awaitable[PeerAnswer]]) -> Response:
    return await take_offer(request, peers, owner, take, lambda resource: f"{root_of(request.scope)}/webrtc/{resource}")


@router.post("/live/{session_id}/whep", summary="Watch a live session", **_TAKES_OFFER)
async def watch_live(request: Request, session_id: str, owner: Owner, peers: Peers) -> Response:
    """The session gives packets: it was started with the format "webrtc" or by POST /whip."""
    return await _take(request, peers, owner, lambda offer: peers.watch(session_id, owner, offer))


@router.post("/live/{session_id}/whip", summary="Speak to a live session", **_TAKES_OFFER)
async def speak_live(request: Request, session_id: str, owner: Owner, peers: Peers) -> Response:
    """The sound of the offer is spoken by the person as it comes."""
    return await _take(request, peers, owner, lambda offer: peers.speak(session_id, owner, offer))


@router.post("/whip", summary="A live session for a microphone", **_TAKES_OFFER)
async def start_live(
    request: Request, owner: Owner, peers: Peers,
    avatar: Annotated[str, Query(max_length=100, description="Token of a registered person")],
    engine: Literal["auto", "lite", "ditto"] = "auto",
    options: Annotated[str, Query(max_length=4096, description="By name, as JSON, as in POST /generate")] = "{}",
) -> Response:  # fmt: skip
    """For clients that know WHIP and nothing else. The session lasts as long as their connection."""
    try:
        named = json.loads(options)
    except (ValueError, RecursionError):
        named = None
    if not isinstance(named, dict):
        raise Malformed("options is not a JSON object.", 'Write it as {"size": 320}.')
    wanted = LiveRequest(output="packets", engine=engine, options=named)
    return await _take(request, peers, owner, lambda offer: peers.start(avatar, owner, wanted, offer))


@router.patch(
    "/webrtc/{resource}", summary="Candidates or an ICE restart of a WebRTC connection", status_code=204, response_class=Response,
    responses={
        200: {"description": "An ICE restart, answered", "content": {FRAGMENT: {"schema": {"type": "string"}}}}, **_NONE,
        **spec.errors(*_ERRORS, 412),
    },
    openapi_extra=_body(FRAGMENT),
)  # fmt: skip
async def patch_peer(request: Request, resource: str, owner: Owner, peers: Peers) -> Response:
    return await patch(request, peers, owner, resource)


@router.delete(
    "/webrtc/{resource}", summary="End a WebRTC connection", response_class=Response,
    responses={200: {"description": "It is over"}, **spec.errors(404, 501)},
)  # fmt: skip
async def end_peer(resource: str, owner: Owner, peers: Peers) -> Response:
    await peers.end(resource, owner)
    return Response()


@router.options("/live/{session_id}/whep", include_in_schema=False)
@router.options("/live/{session_id}/whip", include_in_schema=False)
@router.options("/whip", include_in_schema=False)
async def ice_servers(owner: Owner, peers: Peers) -> Response:
    return options(peers, owner)
