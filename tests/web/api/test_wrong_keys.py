"""Who guesses keys is told to wait, and what the documents say of keys."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import httpx
import pytest
import websockets

from core.studio import Studio
from tests.support.serving import KEY, Serving, error, serving

TRIES = 5


@pytest.fixture
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("keys"), wrong_keys_per_minute=TRIES, trusted_proxies="127.0.0.1") as server:
        yield server


def client_at(server: Serving, address: str, **headers: str) -> httpx.Client:
    """Of another address: what a trusted proxy says counts."""
    return httpx.Client(base_url=server.url, headers={"X-Forwarded-For": address, **headers}, trust_env=False)


@pytest.mark.parametrize(("guesser", "neighbour", "stranger"), [
    ("203.0.113.7", "203.0.113.7", "203.0.113.8"), ("2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"),
])  # fmt: skip
def test_an_address_that_guesses_is_not_listened_to(server: Serving, guesser: str, neighbour: str, stranger: str) -> None:
    with client_at(server, guesser) as bad, client_at(server, neighbour) as near, client_at(server, stranger) as good:
        for n in range(TRIES):
            assert error(bad.get("/avatars", headers={"Authorization": f"Bearer wrong-{n}"}), 401)["hint"]
        refused = near.get("/avatars", headers={"X-API-Key": "another-wrong-one"})
        assert error(refused, 429)["hint"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        error(near.get("/avatars", headers={"X-API-Key": KEY}), 429)  # else a guesser would see which one is right
        assert near.post("/login", data={"key": KEY}).status_code == 429
        assert near.get("/health", headers={"X-API-Key": "wrong"}).status_code in (200, 503)
        for _ in range(3):
            assert good.get("/avatars", headers={"X-API-Key": KEY}).status_code == 200


def test_the_form_and_web_sockets_count_too(server: Serving) -> None:
    coded = base64.urlsafe_b64encode(b"wrong").decode().rstrip("=")

    async def knock(key: str) -> int:
        try:
            options = {"subprotocols": ["talking-head", f"key.{key}"], "additional_headers": {"X-Forwarded-For": "203.0.113.9"}}
            async with websockets.connect(f"{server.ws}/live?avatar=x", proxy=None, **options):
                return 101
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    with client_at(server, "203.0.113.9") as client:
        for _ in range(TRIES - 1):
            assert client.post("/login", data={"key": "wrong"}).status_code == 401
        assert asyncio.run(knock(coded)) == 401
        assert asyncio.run(knock(coded)) == 429
        assert client.post("/login", data={"key": "wrong"}).status_code == 429


def test_the_right_key_is_never_counted(server: Serving) -> None:
    with client_at(server, "203.0.113.10") as client:
        for _ in range(3 * TRIES):
            assert client.get("/avatars", headers={"X-API-Key": KEY}).status_code == 200
            error(client.get("/avatars"), 401)  # none was sent: nothing was guessed


def test_the_documents_say_what_they_need(server: Serving, studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as bare:
        document = bare.get("/openapi.json").json()
        assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
        assert "needs a key" in document["info"]["description"]
        page = bare.get("/docs")
        assert page.status_code == 200
        assert "X-API-Key" in page.text
        assert "POST /generate" in page.text
        assert "//" not in page.text.replace("<!doctype", "").split("<section>")[0]  # nothing from elsewhere
        assert error(bare.post("/generate"), 401)["hint"].startswith("Send it as Authorization: Bearer KEY")
    folder = tmp_path_factory.mktemp("open")
    with serving(studio, folder, api_keys="") as open_server, httpx.Client(base_url=open_server.url, trust_env=False) as bare:
        document = bare.get("/openapi.json").json()
        assert set(document["components"]["securitySchemes"]) == {"owner"}
        assert "needs no key" in document["info"]["description"]
        assert "X-Owner-Key" in bare.get("/docs").text
