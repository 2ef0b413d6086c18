"""Identifies the owner of a request: a visitor's browser, the holder of a key, or a session, by a secret that they hold.

An owner is a name that can be written into files and logs. The secret behind it (cookie or key) cannot be read from it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from core.errors import OptionError

COOKIE = "talking_head_visitor"
COOKIE_BYTES = 24
COOKIE_AGE_S = 365 * 24 * 3600
KEY_HEADER = "x-owner-key"
MIN_KEY_LENGTH = 16
_OUR_COOKIE = re.compile(rf"(?:^|;\s*){COOKIE}=([0-9a-f]{{{2 * COOKIE_BYTES}}})\s*(?:;|$)")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def owner_of(headers: Mapping[str, str], session: str) -> str:
    """The owner of a request: by its X-Owner-Key, else by the browser's cookie, else by its `session`.

    headers: names in lower case, or a mapping that does not mind. session: a secret that lasts as long as the visit (Gradio's session).
    Raises OptionError for a key that could be guessed.
    """
    key = headers.get(KEY_HEADER)
    if key is not None:
        if len(key) < MIN_KEY_LENGTH:
            raise OptionError(f"X-Owner-Key has {len(key)} characters.", f"Make up at least {MIN_KEY_LENGTH}, at random, and keep them.")
        return owner_name("key", key)
    visitor = _visitor(headers.get("cookie", ""))
    return owner_name("visitor", visitor) if visitor else owner_name("session", session)


def owner_name(kind: str, secret: str) -> str:
    """`kind` and 32 hexadecimal digits that stand for `secret`."""
    return f"{kind}:{hashlib.sha256(secret.encode()).hexdigest()[:32]}"


class VisitorCookie:
    """ASGI middleware: gives every browser that opens a page a cookie of its own (192 random bits), and knows it again."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or _visitor(header(scope, "cookie")):
            await self._app(scope, receive, send)
            return

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                cookie = set_cookie(COOKIE, secrets.token_hex(COOKIE_BYTES), scope)
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def _visitor(cookies: str) -> str:
    """The visitor's secret among a request's cookies, "" where it is missing or not one of ours."""
    found = _OUR_COOKIE.search(cookies)
    return found[1] if found else ""


def set_cookie(name: str, value: str, scope: Scope) -> str:
    """The Set-Cookie of an answer, for what lies below the application's root and nothing else of its host.

    On https also inside another site's frame, as Spaces are shown, but with another value in each.
    """
    where = "SameSite=None; Secure; Partitioned" if is_https(scope) else "SameSite=Lax"
    return f"{name}={value}; Path={root_of(scope) or '/'}; Max-Age={COOKIE_AGE_S}; HttpOnly; {where}"


def _is_page(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in message["headers"])


def is_https(scope: Scope) -> bool:
    return scope["scheme"] == "https" or header(scope, "x-forwarded-proto").split(",")[0].strip() == "https"


def root_of(scope: Scope) -> str:
    """What stands before the application's paths: "" at the top, "/talk" below it."""
    return str(scope.get("root_path", ""))


def header(scope: Scope, name: str) -> str:
    """A request's header by its name in lower case, "" without it."""
    wanted = name.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), "")
