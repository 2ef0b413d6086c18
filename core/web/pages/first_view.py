"""What is seen while a page's scripts are on their way: title and subtitle in its language, in the page itself, which is compressed."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from html import escape

from core.service.owners import Asgi, Message, Receive, Scope, Send, header
from core.web.addresses import path_below
from core.web.pages.texts import Texts

_STYLE = (
    "position:absolute;top:0;left:0;right:0;box-sizing:border-box;width:100%;max-width:1120px;margin:0 auto;padding:.6rem 2rem;"
    "font-family:system-ui,-apple-system,Segoe UI,Roboto,sans-serif"
)
_LEVEL = 5


class FirstView:
    """ASGI middleware before Gradio. languages: the page of the first lies at the root, the others below their name.
    styles: links to the styles of what follows.

    static/language.js removes the view when the page is there.
    """

    def __init__(self, app: Asgi, languages: Sequence[Texts], styles: str = "") -> None:
        self._app, self._styles = app, styles
        self._pages = {"" if texts is languages[0] else texts.language: texts for texts in languages}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        texts = None
        if scope["type"] == "http" and scope["method"] == "GET":
            texts = self._pages.get(path_below(scope).strip("/"))
        if texts is None:
            await self._app(scope, receive, send)
        else:
            await _Page(texts, self._styles, "gzip" in header(scope, "accept-encoding"), send).pass_on(self._app, scope, receive)


class _Page:
    """One answer, held until it is whole; what is no page passes as it is."""

    def __init__(self, texts: Texts, styles: str, packed: bool, send: Send) -> None:
        self._texts, self._styles, self._packed, self._send = texts, styles, packed, send
        self._start: Message | None = None
        self._body = bytearray()

    async def pass_on(self, app: Asgi, scope: Scope, receive: Receive) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await app({**scope, "headers": headers}, receive, self._take)

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        body = with_view(self._body.decode(), self._texts, self._styles).encode()
        dropped = (b"content-length", b"etag")
        headers = [(name, value) for name, value in start["headers"] if name.lower() not in dropped]
        headers.append((b"vary", b"Accept-Encoding"))
        if self._packed:
            body = gzip.compress(body, _LEVEL)
            headers.append((b"content-encoding", b"gzip"))
        await self._send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def with_view(page: str, texts: Texts, styles: str = "") -> str:
    """Gradio's page with the view before its application, the language of its words, and an icon."""
    title, subtitle = escape(texts.title), escape(texts.subtitle)
    view = (
        f'<div id="th-first" style="{_STYLE}"><h1 style="margin:0;font-size:1.7rem;font-weight:650">{title}</h1>'
        f'<p style="margin:.2rem 0">{subtitle}</p><p role="status">{escape(texts.page_loads)}</p>'
        f"<noscript>{escape(texts.needs_scripts)}</noscript></div>"
    )
    page = page.replace('lang="en"', f'lang="{texts.language}"', 1)
    page = page.replace("</head>", '<link rel="icon" type="image/svg+xml" href="favicon.ico"></head>', 1)
    return page.replace("<gradio-app", f"{view}{styles}<gradio-app", 1)


def _is_page(start: Message) -> bool:
    kind = next((value for name, value in start["headers"] if name.lower() == b"content-type"), b"")
    return start["status"] == 200 and kind.startswith(b"text/html")
