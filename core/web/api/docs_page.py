"""The page at /docs: what /openapi.json says, to be read by people; it loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>Talking Head: API</title><style>"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}code{font-size:.95em}"
    "section{border-top:1px solid #8886;padding:.6rem 0}h2{font-size:1rem;margin:0}p{margin:.3rem 0}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#9cf}}</style>"
)


def docs_html(document: Mapping[str, Any]) -> str:
    """document: as in /openapi.json."""
    about = "".join(f"<p>{escape(part)}</p>" for part in document["info"]["description"].split("\n\n"))
    routes = "".join(
        _route(method.upper(), path, route) for path, methods in document["paths"].items() for method, route in methods.items()
    )
    title = escape(document["info"]["title"])
    return f"{_STYLE}<h1>{title}</h1>{about}<p>For programs: <a href=openapi.json>openapi.json</a></p>{routes}</html>"


def _route(method: str, path: str, route: Mapping[str, Any]) -> str:
    said = "".join(f"<p>{escape(part)}</p>" for part in (route.get("summary", ""), route.get("description", "")) if part)
    body = route.get("requestBody", {}).get("content", {})
    sent = f"<p>Body: {escape(', '.join(body))}</p>" if body else ""
    answers = ", ".join(f"{status} {answer['description']}" for status, answer in route["responses"].items())
    head = f"<h2><code>{method} {escape(path)}</code></h2>"
    return f"<section>{head}{said}<p>{_needs(route)}</p>{sent}<p>Answers: {escape(answers)}</p></section>"


def _needs(route: Mapping[str, Any]) -> str:
    ways = [" and ".join(way) for way in route.get("security", []) if way]
    if not ways:
        return "Needs no key."
    optional = "" if all(route["security"]) else ", or neither on the server's own machine"
    return f"Needs: {escape(' or '.join(ways))}{optional}."
