"""HTML of the choice of six points where no face is found, or another one is meant (static/hand.js)."""

from __future__ import annotations

import json
from html import escape

from core.service.face_previews import PhotoPreview
from core.web.pages.texts import Texts


def hand_html(texts: Texts, preview: PhotoPreview, landmarks: str) -> str:
    """The button that opens it, with what its script needs to know; "" where there is no photo. landmarks: what is chosen already."""
    if not preview.photo:
        return ""
    words = texts.hand
    label = words["open_again"] if landmarks else words["open_other"] if preview.faces else words["open_missing"]
    place = preview.faces[0].place if preview.faces else None
    kind = "th-hand" if preview.faces else "th-hand th-hand-missing"
    data = escape(json.dumps({"words": words, "landmarks": landmarks, "place": place}))
    return f'<button type="button" class="{kind}" data-hand="{data}">{escape(label)}</button>'
