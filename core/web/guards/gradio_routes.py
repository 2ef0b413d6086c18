"""Allows those routes of Gradio that pages and clients need, and closes all others.

What is left out runs programs on uploads, fetches addresses, changes the program, keeps what a visitor has on the page, or tells of others.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.responses import PlainTextResponse

from core.service.owners import Asgi, Receive, Scope, Send
from core.web.addresses import path_below

_NAME = r"[^/]+"
_READ = (
    r"config/?",
    r"(static|assets|svelte)/.+",
    r"favicon\.ico",
    r"theme\.css",
    r"robots\.txt",
    r"manifest\.json",
    rf"gradio_api/(info/?|openapi\.json|app_id/?|startup-events|theme\.css|queue/data|heartbeat/{_NAME})",
    rf"gradio_api/call/(v2/)?{_NAME}/{_NAME}",
    r"gradio_api/file=.+",
)
_WRITE = (
    rf"gradio_api/(run|api|call|call/v2)/{_NAME}/?",
    r"gradio_api/(queue/join|cancel)",
    r"gradio_api/reset/?",
)

_NO_SUCH_ENDPOINT = ("FnIndexInferError", "KeyError")
"""What Gradio raises, before it answers, for the name or the number of an endpoint that there is not."""
_NOTHING = PlainTextResponse("There is nothing at this address.", 404)


class GradioRoutes:
    """ASGI middleware before Gradio. pages: names of the pages beside the first one."""

    def __init__(self, app: Asgi, pages: Collection[str]) -> None:
        self._app = app
        page = rf"({'|'.join(map(re.escape, pages))})/?" if pages else ""
        self._read = _any_of((page, *_READ))
        self._write = _any_of(_WRITE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope):
            try:
                await self._app(scope, receive, send)
            except Exception as error:
                if scope["type"] != "http" or type(error).__name__ not in _NO_SUCH_ENDPOINT:
                    raise
                await _NOTHING(scope, receive, send)
        elif scope["type"] == "http":
            await _NOTHING(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_open(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        path, method = local_path(scope), scope["method"]
        if method in ("GET", "HEAD"):
            return not path or self._read.fullmatch(path) is not None
        return method == "POST" and self._write.fullmatch(path) is not None


def local_path(scope: Scope) -> str:
    """The path below where the application is mounted, without the slash before it."""
    return path_below(scope).removeprefix("/")


def _any_of(patterns: Collection[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern), re.DOTALL)
