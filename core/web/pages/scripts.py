"""The pages' own JavaScript: small files in static/, each a block of its own, that run once when a page appears."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).resolve().parent / "static"
FAVICON = STATIC / "favicon.svg"
WORKLET = STATIC / "worklet.js"
"""Browsers fetch it by its address (static/capture.js): it runs on a thread of its own."""
PAGE_SCRIPTS = (
    *("language.js", "formats.js", "uploads.js", "devices.js", "running.js"),
    *("preview.js", "download.js", "phone.js", "keyboard.js", "labels.js"),
)
"""What every page runs, in this order; `element` in them holds the words they say (html.words_html)."""


def script(*names: str) -> str:
    """The files one after the other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
