"""What the server answers about WebRTC where it is not installed or switched off, and what it takes of HTTP before that matters."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from core.settings import Settings
from core.studio import Studio
from core.web.guards.refusals import TooSlow
from core.web.live import whip
from integrations.webrtc import offer_webrtc
from tests.support.serving import Serving, error, forget_people, serving

SDP = {"Content-Type": "application/sdp"}
REQUESTS = (
    ("POST", "/whip?avatar=x"), ("POST", "/live/x/whep"), ("POST", "/live/x/whip"), ("PATCH", "/webrtc/x"), ("DELETE", "/webrtc/x"),
    ("OPTIONS", "/live/x/whep"),
)  # fmt: skip


def test_without_its_packages_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert offer_webrtc(Settings()) is None
    assert offer_webrtc(Settings(webrtc=False)) is None


@pytest.mark.parametrize(("webrtc", "told"), [(False, "TALKING_HEAD_WEBRTC=true"), (True, "./setup.sh webrtc")])
def test_where_it_is_missing_every_address_says_so(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, webrtc: bool, told: str
) -> None:
    monkeypatch.setattr("tests.support.serving.offer_webrtc", lambda settings: None)
    with serving(studio, tmp_path, webrtc=webrtc) as server, server.client() as client:
        for method, path in REQUESTS:
            assert told in error(client.request(method, path, content="v=0\r\n", headers=SDP), 501)["hint"]
    forget_people(studio)


def test_who_has_no_key_learns_nothing(server: Serving) -> None:
    with server.client("not-a-key-of-this-server") as client:
        for method, path in REQUESTS:
            error(client.request(method, path, content="v=0\r\n", headers=SDP), 401)


@pytest.mark.parametrize("value", ["turn.example.org", "http://example.org", "turn:a b", "turn:x?transport=sctp"])
def test_turn_servers_are_addresses(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_TURN_URLS", f"turn:turn.example.org:3478,{value}")
    with pytest.raises(ValueError, match="turn_urls"):
        Settings()


def test_an_offer_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "MOST_S", 0.05)
    begun = [{"type": "http.request", "body": b"v=0", "more_body": True}]

    async def receive() -> Any:
        return begun.pop() if begun else await asyncio.Event().wait()

    async def test() -> None:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/sdp")], "query_string": b""}
        peers: Any = None
        with pytest.raises(TooSlow):
            await whip.take_offer(Request(scope, receive), peers, "key:ada", peers, peers)

    asyncio.run(test())
