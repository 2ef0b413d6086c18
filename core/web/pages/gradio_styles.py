"""Gradio's frontend asks for the styles of each component by themselves, 40 files for the first page: here they come in one.

A style sheet that the page links to already is not asked for again, also where the link is disabled and so fetches nothing. So the page
gets one sheet with the content of all, and a disabled link for each. `static/gradio_styles.txt` names them: those that the page of the
pinned Gradio asks for (tests/web/pages/test_first_visit_browser.py). One that is not there is left out, and Gradio asks for it as before.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from starlette.responses import Response

from core.service.owners import Asgi, Message, Receive, Scope, Send, header
from core.web.addresses import path_below
from core.web.pages.scripts import STATIC

NAMES = STATIC / "gradio_styles.txt"
_FOLDER = "assets"
_FOR_EVER = b"public, max-age=31536000, immutable"
"""Of files whose name has a digest of their content."""


class GradioStyles:
    """The sheet: read once. folder: Gradio's files for browsers."""

    def __init__(self, folder: Path, names: tuple[str, ...] | None = None) -> None:
        wanted = NAMES.read_text(encoding="utf-8").split() if names is None else names
        found = [name for name in wanted if (folder / _FOLDER / name).is_file()]
        sheet = b"\n".join((folder / _FOLDER / name).read_bytes() for name in found)
        self.packed, self.plain = gzip.compress(sheet, mtime=0), sheet
        self.path = f"{_FOLDER}/styles-{hashlib.sha256(sheet).hexdigest()[:16]}.css"
        """Beside Gradio's own, so that addresses within stay right."""
        disabled = "".join(f'<link rel="stylesheet" crossorigin disabled href="./{_FOLDER}/{name}">' for name in found)
        self.links = f'<link rel="stylesheet" crossorigin href="./{self.path}">{disabled}' if found else ""


class Assets:
    """ASGI middleware before Gradio: answers with the sheet, and has browsers keep what never changes under its name."""

    def __init__(self, app: Asgi, styles: GradioStyles) -> None:
        self._app, self._styles = app, styles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_below(scope).removeprefix("/") if scope["type"] == "http" else ""
        if not path.startswith(f"{_FOLDER}/") or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        elif path == self._styles.path:
            packed = "gzip" in header(scope, "accept-encoding")
            headers = {"Cache-Control": _FOR_EVER.decode(), "Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packed else {})}
            body = self._styles.packed if packed else self._styles.plain
            await Response(body, media_type="text/css", headers=headers)(scope, receive, send)
        else:
            await self._app(scope, receive, _keeping(send))


def _keeping(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in (200, 304):
            others = [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"]
            message = {**message, "headers": [*others, (b"cache-control", _FOR_EVER)]}
        await send(message)

    return sent
