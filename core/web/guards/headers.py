"""Security headers of every answer, which tell browsers what pages may do with it."""

from __future__ import annotations

import os

from core.service.owners import Asgi, Message, Receive, Scope, Send
from core.settings import Settings

_SPACES = "https://huggingface.co"
_POLICY = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio writes its configuration into the page, and makes functions of js_on_load
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "frame-src 'none'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
)
_STARTS = ("http.response.start", "websocket.http.response.start")


def frame_ancestors(settings: Settings) -> tuple[str, ...]:
    """Who may show the pages in a frame. A Space is shown in one by huggingface.co, unless something else is configured."""
    return settings.frame_ancestors or ((_SPACES,) if os.environ.get("SPACE_ID") else ())


class SecurityHeaders:
    """ASGI. What an answer says of these by itself stays. frame_ancestors: beside the server itself."""

    def __init__(self, app: Asgi, frame_ancestors: tuple[str, ...] = ()) -> None:
        self._app = app
        policy = "; ".join((*_POLICY, " ".join(("frame-ancestors 'self'", *frame_ancestors))))
        self._headers = {
            b"content-security-policy": policy.encode(),
            b"cross-origin-resource-policy": b"same-origin",
            b"referrer-policy": b"same-origin",  # with no-referrer, browsers hide the Origin of our own forms
            b"x-content-type-options": b"nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in _STARTS:
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message = {**message, "headers": given + [each for each in self._headers.items() if each[0] not in names]}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] in ("http", "websocket") else send)
