"""The examples as cards: photo and video side by side, which static/examples.js plays while a card is pointed at or has the focus."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from core.service.examples import Example
from core.web.pages.texts import Texts

THUMBNAIL_PX = 168
_QUALITY = 82


def examples_html(texts: Texts, examples: Sequence[Example]) -> str:
    """The pictures are in the page itself; a video is fetched when it is to be played."""
    cards = "".join(_card(texts, each) for each in examples)
    label = escape(texts.examples)
    return f'<div class="th-examples" role="group" aria-label="{label}"><p>{label}</p><div>{cards}</div></div>'


def _card(texts: Texts, example: Example) -> str:
    name = texts.example_names[example.name]
    label = texts.example.format(name=name, seconds=example.seconds)
    picture, video = _thumbnail(example.photo), f"gradio_api/file={quote(str(example.video))}"
    return (
        f'<button type="button" class="th-example" data-key="{escape(example.name)}" aria-label="{escape(label)}">'
        f'<span class="th-pair"><img alt="" src="{picture}">'
        f'<video muted loop playsinline preload="none" tabindex="-1" aria-hidden="true" poster="{picture}" '
        f'src="{escape(video)}"></video></span>'
        f'<span class="th-example-name">{escape(name)} · {example.seconds} s</span></button>'
    )


def _thumbnail(photo: Path) -> str:
    """An address that is the picture itself."""
    with Image.open(photo) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
