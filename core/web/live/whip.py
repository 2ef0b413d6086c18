"""WHIP (RFC 9725) and WHEP over HTTP: offers, candidates and ends of WebRTC connections, for API and pages alike.

    POST     SDP offer → 201, the answer; Location: the connection, to be patched and deleted; ETag: its ICE session; Link: ICE servers
    PATCH    candidates → 204; with new credentials and `If-Match: *` an ICE restart → 200 and the server's, with a new ETag
    DELETE   → 200
    OPTIONS  → 204 with the ICE servers
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from core.service.errors import Malformed, TooLarge, WrongKind
from core.service.peer_connections import PeerAnswer, PeerConnections
from core.web.guards.refusals import TooSlow

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
MAX_SDP_BYTES = 64 * 1024
MOST_S = 10.0
"""How long it may take to come: of a browser it is one packet or a few."""
_EXPECTED = {"Accept-Post": SDP, "Accept-Patch": FRAGMENT}


async def take_offer(
    request: Request, peers: PeerConnections, owner: str, take: Callable[[str], Awaitable[PeerAnswer]], address: Callable[[str], str]
) -> Response:
    """take: gives the answer to an offer. address: of a connection, by its name. Raises WrongKind, TooLarge, Malformed, and what `take`
    raises.
    """
    answer = await take(await _text(request, SDP))
    response = Response(answer.sdp, 201, {**_EXPECTED, "X-Live-Session": answer.session_id}, SDP)
    response.headers["Location"] = address(answer.resource)
    response.headers["ETag"] = f'"{answer.version}"'
    _link(response, peers, owner)
    return response


async def patch(request: Request, peers: PeerConnections, owner: str, resource: str) -> Response:
    """Raises what `PeerConnections.patch` raises."""
    version = request.headers.get("if-match", "").strip()
    if not version:
        raise Malformed("If-Match is missing.", 'Send the connection\'s ETag or, for an ICE restart, "*".', code="peer_version")
    answer = await peers.patch(resource, owner, await _text(request, FRAGMENT), version.removeprefix("W/").strip('"'))
    if answer is None:
        return Response(status_code=204)
    return Response(answer.sdp, 200, {"ETag": f'"{answer.version}"'}, FRAGMENT)


def options(peers: PeerConnections, owner: str) -> Response:
    response = Response(status_code=204, headers=_EXPECTED)
    _link(response, peers, owner)
    return response


def _link(response: Response, peers: PeerConnections, owner: str) -> None:
    for server in peers.ice_servers(owner):
        link = f'<{server.url}>; rel="ice-server"'
        if server.username:
            link += f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
        response.headers.append("Link", link)


async def _text(request: Request, kind: str) -> str:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != kind:
        raise WrongKind(f"The content type is {given[:60]!r}.", f"Send {kind}.")
    body = b""
    try:
        async with asyncio.timeout(MOST_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_SDP_BYTES:
                    raise TooLarge(f"The SDP has more than {MAX_SDP_BYTES // 1024} KiB.", "Offer one audio and one video section.")
    except TimeoutError:
        raise TooSlow(f"The SDP was not complete after {MOST_S:g} s.", "Send it at once.") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Malformed("The SDP is not UTF-8.", "Send it as the browser gives it.") from None
