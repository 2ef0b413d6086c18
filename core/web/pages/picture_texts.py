"""What the pages say of the picture that a video shows: its proportions and the part of the photo; a table for each language."""

from __future__ import annotations

from typing import TypedDict


class PictureTexts(TypedDict):
    """Placeholders are filled as those of `Texts`."""

    aspect: str
    aspect_hint: str
    aspects: dict[str, str]


ENGLISH = PictureTexts(
    aspect="Format",
    aspect_hint="Width to height",
    aspects={
        "auto": "square (1:1)",
        "9:16": "portrait (9:16)",
        "4:5": "portrait (4:5)",
        "16:9": "landscape (16:9)",
        "source": "the whole photo",
    },
)

GERMAN = PictureTexts(
    aspect="Format",
    aspect_hint="Breite zu Höhe",
    aspects={
        "auto": "Quadrat (1:1)",
        "9:16": "Hochformat (9:16)",
        "4:5": "Hochformat (4:5)",
        "16:9": "Querformat (16:9)",
        "source": "das ganze Foto",
    },
)
