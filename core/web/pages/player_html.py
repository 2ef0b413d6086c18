"""The buttons beneath a video; static/player_bar.js is what they do."""

from __future__ import annotations

import json
from html import escape

from core.web.pages.texts import Texts

_ICONS = {
    "pause": '<path class="th-on-pause" d="M7 5h3v14H7zm7 0h3v14h-3z"/><path class="th-on-play" d="M8 5l11 7-11 7z"/>',
    "mute": '<path d="M4 9h4l5-4v14l-5-4H4z"/>'
    '<path class="th-on-mute" d="M15 8q3 4 0 8l1.2 1q4-5 0-10zm3-2.5q5 6.5 0 13l1.2 1q6-7.5 0-15z"/>'
    '<path class="th-on-unmute" d="M15 9.4l1.4-1.4 2.1 2.1 2.1-2.1 1.4 1.4-2.1 2.1 2.1 2.1-1.4 1.4-2.1-2.1-2.1 2.1-1.4-1.4 2.1-2.1z"/>',
    "larger": '<path d="M10.5 3a7.5 7.5 0 1 0 4.7 13.3l4.3 4.3 1.4-1.4-4.3-4.3A7.5 7.5 0 0 0 10.5 3zm0 2a5.5 5.5 0 1 1 0 11 5.5 '
    '5.5 0 0 1 0-11zM7.5 9.5h6v2h-6z"/><path class="th-on-larger" d="M9.5 7.5h2v6h-2z"/>',
    "full_screen": '<path d="M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z"/>',
    "small_window": '<path d="M3 5h18v14H3zm2 2v10h14V7zm7 4h6v5h-6z"/>',
}


def player_html(texts: Texts, videos: str, pausable: bool = True) -> str:
    """videos: HTML of the elements that it plays. pausable: False where what is shown happens now."""
    words = texts.player
    names = ("pause", "mute", "larger", "full_screen", "small_window")
    buttons = {name: _button(name, words[name]) for name in names}  # type: ignore[literal-required]
    if not pausable:
        del buttons["pause"]
    volume = f'<input type="range" min="0" max="1" step="0.05" value="1" aria-label="{escape(words["volume"])}">'
    before = [buttons.pop(name) for name in ("pause", "mute") if name in buttons]
    about = f'aria-label="{escape(words["player"])}" data-player="{escape(json.dumps(words))}"'
    return (
        f'<div class="th-player" role="group" tabindex="0" {about}>'
        f'<div class="th-screen">{videos}</div>'
        f'<div class="th-bar-buttons">{"".join(before)}{volume}<span></span>{"".join(buttons.values())}</div></div>'
    )


def _button(name: str, label: str) -> str:
    icon = f'<svg viewBox="0 0 24 24" aria-hidden="true">{_ICONS[name]}</svg>'
    about = f'aria-label="{escape(label)}" title="{escape(label)}"'
    return f'<button type="button" data-bar="{name}" data-shows="{name}" {about}>{icon}</button>'
