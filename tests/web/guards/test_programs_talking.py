"""The pages' WebSockets in the three programs: to whom they answer, from which web pages, and whose conversations are whose."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import websockets.exceptions
from websockets.sync.client import ClientConnection, connect

from tests.web.guards.conftest import PATIENCE_S, Audited

LIVE, CHAT = "talking_head_live?avatar=" + "0" * 32, "talking_head_chat"
RECOGNITION = "talking_head_recognition"
SECRET = "what was said in confidence"  # noqa: S105 - a message


@contextlib.contextmanager
def opened(program: Audited, path: str = CHAT, visitor: str | None = None, **headers: str) -> Iterator[ClientConnection]:
    about = {"Cookie": f"talking_head_visitor={visitor}"} if visitor else {}
    address = program.server.url.replace("http", "ws") + path
    with connect(address, additional_headers={**about, **headers}, proxy=None, open_timeout=PATIENCE_S) as socket:
        yield socket


def refused(program: Audited, path: str, visitor: str | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and error of a handshake."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught, opened(program, path, visitor, **headers):
        pass
    answer = caught.value.response
    return answer.status_code, json.loads(answer.body or b"{}").get("error", {})


def told(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(socket.recv(PATIENCE_S))
        if event["type"] == kind:
            return event


def say(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


@pytest.mark.parametrize("path", [LIVE, CHAT])
def test_foreign_pages_and_strangers_are_refused(program: Audited, visitor: str, path: str) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert refused(program, path, visitor, Origin=origin)[0] == 403
    status, error = refused(program, path)
    assert (status, error["type"]) == (403, "Forbidden")
    assert "not said whose" in error["message"]
    assert refused(program, path, "short")[0] == 403


def test_a_face_needs_an_avatar_of_the_visitor(program: Audited, visitor: str) -> None:
    status, error = refused(program, LIVE, visitor)
    assert (status, error["type"]) == (404, "AvatarError")
    german = refused(program, f"{LIVE}&lang=de", visitor)[1]["message"]
    assert german != error["message"]
    assert refused(program, f"talking_head_live?avatar={'../' * 20}", visitor)[0] == 404


def test_a_conversation_is_the_visitors_alone_and_goes_on(program: Audited, visitor: str) -> None:
    origin = {"Origin": program.server.url.rstrip("/")}
    with opened(program, CHAT, visitor, **origin) as socket:
        say(socket, type="start", mode="text")
        ready = told(socket, "ready")
        assert ready["partner"] == {"name": "Echo", "echo": True}
        say(socket, type="message", text=SECRET)
        assert SECRET in told(socket, "answer_done")["text"]
    resume = {"type": "resume", "chat": ready["chat"], "secret": ready["secret"]}
    for other in (secrets.token_hex(24), secrets.token_hex(24)):
        with opened(program, CHAT, other) as socket:
            say(socket, **resume)
            error = told(socket, "error")["error"]
            assert error["type"] == "UnknownChat"
            assert SECRET not in json.dumps(error)
    with opened(program, f"{CHAT}?lang=de", visitor) as socket:
        say(socket, **{**resume, "secret": "x" * 32})
        assert told(socket, "error")["error"]["message"].startswith("Jenes Gespräch")
    with opened(program, CHAT, visitor) as socket:
        say(socket, **resume)
        assert [message["role"] for message in told(socket, "ready")["messages"]] == ["user", "assistant"]
        say(socket, type="message", text="x" * 4001)
        assert "4001" in told(socket, "error")["error"]["message"]
        say(socket, type="close")
    assert SECRET not in program.server.log.read_text(), "what is said is in no log"


def test_other_addresses_take_no_websocket(program: Audited, visitor: str) -> None:
    for path in ("", "queue/data", "talking_head_chat/x"):
        assert refused(program, path, visitor)[0] in (401, 403)


def test_what_is_said_is_taken_of_visitors_only_and_bounded(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client, program.client() as stranger:
        assert client.post(RECOGNITION, content=b"x", headers={"Origin": "https://evil.example"}).status_code == 403
        assert stranger.post(RECOGNITION, content=b"x").status_code in (401, 403)
        assert client.post(RECOGNITION, content=bytes(2**20 + 2**18)).status_code == 413
        unset = client.post(f"{RECOGNITION}?lang=de&language=de-DE", content=b"x")
        assert (unset.status_code, unset.json()["error"]["message"][:26]) == (501, "Hier ist keine Spracherken")
        assert client.get(RECOGNITION).status_code == 404
        assert client.get(f"talking_head_heard/{'x' * 43}").status_code == 404


def test_one_visitor_has_so_many_connections(program: Audited, visitor: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(opened(program, CHAT, visitor))
        status, error = refused(program, CHAT, visitor)
        assert (status, error["type"]) == (429, "TooMany")
        with opened(program, CHAT, secrets.token_hex(24)) as socket:
            say(socket, type="start", mode="text")
            assert told(socket, "ready")["messages"] == []
