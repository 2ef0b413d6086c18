"""The languages of the pages, and in which one a page answers: `?lang=` in its address, else what the browser prefers, else English."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qs, parse_qsl, urlencode

from core.service.owners import Asgi, Receive, Scope, Send, header
from core.web.addresses import path_below
from core.web.pages.texts import Texts
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH

LANGUAGES: tuple[Texts, ...] = (ENGLISH, GERMAN)
"""The first is the one for whoever asks for none of them."""
NAMES: tuple[str, ...] = tuple(texts.language for texts in LANGUAGES)

_TAG = re.compile(r"([a-zA-Z]{1,8})(?:-[a-zA-Z0-9]+)*(?:\s*;\s*q=([01](?:\.\d{0,3})?))?")


def choose(requested: str, accepted: str, offered: Collection[str], default: str) -> str:
    """The language of `offered` (two letters) that fits best. requested: from the address; accepted: an Accept-Language header."""
    if requested.lower() in offered:
        return requested.lower()
    ranked: list[tuple[float, str]] = []
    for part in accepted.split(",")[:32]:
        if found := _TAG.fullmatch(part.strip()):
            ranked.append((float(found[2] or 1), found[1].lower()))
    ranked.sort(key=lambda each: -each[0])  # stable: equals stay in the browser's order
    return next((tag for weight, tag in ranked if tag in offered and weight > 0), default)


class LanguagePages:
    """ASGI middleware: whoever asks for the page is sent to the one in their language, wherever the pages are mounted.

    languages: two letters each. The page of the first lies at the root, the others below their name (`/de`); `?lang=` leads to any.
    """

    def __init__(self, app: Asgi, languages: tuple[str, ...]) -> None:
        self._app = app
        self._languages = languages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            here = path_below(scope).strip("/")
            requested = parse_qs(scope["query_string"].decode("latin-1")).get("lang", [""])[0]
            default = self._languages[0]
            if here == "" or (here in self._languages[1:] and requested):
                wanted = choose(requested, header(scope, "accept-language"), self._languages, default)
                if wanted != (here or default):
                    kept = [(name, value) for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name != "lang"]
                    query = urlencode(kept if wanted != default else [("lang", default), *kept])
                    await _redirect(f"./{wanted if wanted != default else ''}{'?' if query else ''}{query}", send)
                    return
        await self._app(scope, receive, send)


async def _redirect(location: str, send: Send) -> None:
    """To an address beside this one, for this request only: another visitor is sent elsewhere."""
    headers = [(b"location", location.encode()), (b"cache-control", b"no-store"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
