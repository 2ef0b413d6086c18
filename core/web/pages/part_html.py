"""HTML of the choice of a part of the photo (static/part.js)."""

from __future__ import annotations

import json
from html import escape

from core.service.face_previews import PhotoPreview
from core.web.pages.texts import Texts


def part_html(texts: Texts, preview: PhotoPreview, crop: str) -> str:
    """The button that opens it, with what its script needs to know; "" where there is no face. crop: what is chosen already."""
    if not preview.faces:
        return ""
    faces = [{"place": face.place, "kept": face.kept, "parts": face.parts} for face in preview.faces]
    words = {name.removeprefix("part_"): text for name, text in texts.picture.items() if name.startswith("part_")}
    data = {"faces": faces, "words": words, "crop": crop}
    return (
        f'<button type="button" class="th-part" data-part="{escape(json.dumps(data))}">{escape(texts.picture["part_choose"])}</button>'
    )  # fmt: skip
