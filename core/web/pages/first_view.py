"""What is seen while a page's scripts are on their way: title and subtitle in its language, in the page itself, which is compressed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from html import escape

from core.service.owners import Asgi, Message, Receive, Scope, Send, header
from core.web.addresses import path_below
from core.web.guards.bodies import ChangedAnswer
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
            packed, styles = "gzip" in header(scope, "accept-encoding"), self._styles
            plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            more = [(b"vary", b"Accept-Encoding"), *([(b"content-encoding", b"gzip")] if packed else [])]

            def changed(body: bytes) -> bytes:
                page = with_view(body.decode(), texts, styles).encode()
                return gzip.compress(page, _LEVEL) if packed else page

            await self._app({**scope, "headers": plain}, receive, ChangedAnswer(send, _is_page, changed, more))


def with_view(page: str, texts: Texts, styles: str = "") -> str:
    """Gradio's page with the view before its application, the language of all words, and an icon."""
    title, subtitle = escape(texts.title), escape(texts.subtitle)
    view = (
        f'<div id="th-first" style="{_STYLE}"><h1 style="margin:0;font-size:1.7rem;font-weight:650">{title}</h1>'
        f'<p style="margin:.2rem 0">{subtitle}</p><p role="status">{escape(texts.page_loads)}</p>'
        f"<noscript>{escape(texts.needs_scripts)}</noscript></div>"
    )
    said = json.dumps(texts.language)
    spoken = f"{{language: {{value: {said}}}, languages: {{value: [{said}]}}}}"  # Gradio's own words follow what the browser prefers
    view += f"<script>Object.defineProperties(navigator, {spoken})</script>"
    page = page.replace('lang="en"', f'lang="{texts.language}"', 1)
    page = page.replace("</head>", '<link rel="icon" type="image/svg+xml" href="favicon.ico"></head>', 1)
    return page.replace("<gradio-app", f"{view}{styles}<gradio-app", 1)


def _is_page(start: Message) -> bool:
    kind = next((value for name, value in start["headers"] if name.lower() == b"content-type"), b"")
    return start["status"] == 200 and kind.startswith(b"text/html")
