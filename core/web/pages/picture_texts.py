"""What the pages say of the picture that a video shows: its proportions and the part of the photo; a table for each language."""

from __future__ import annotations

from typing import TypedDict


class PictureTexts(TypedDict):
    """Placeholders are filled as those of `Texts`."""

    aspect: str
    aspect_hint: str
    aspects: dict[str, str]
    background: str
    background_hint: str
    backgrounds: dict[str, str]
    background_picture: str
    longer: str
    longer_ways: dict[str, str]
    shorter: str
    shorter_ways: dict[str, str]
    fps: str
    fps_usual: str
    fps_source: str
    keep_background: str
    keep_background_hint: str
    still: str
    still_blinks: str
    still_no_blinks: str
    part_choose: str
    part_title: str
    part_hint: str
    part_frame: str
    part_zoom: str
    part_size: str
    part_reset: str
    part_cancel: str
    part_use: str


ENGLISH = PictureTexts(
    aspect="Format",
    aspect_hint="Width to height",
    aspects={
        "1:1": "square (1:1)",
        "9:16": "portrait (9:16)",
        "4:5": "portrait (4:5)",
        "16:9": "landscape (16:9)",
        "source": "the whole photo",
    },
    background="Background",
    background_hint="Or a colour, such as #00b140",
    backgrounds={
        "keep": "as in the photo",
        "blur": "blurred",
        "#ffffff": "white",
        "#d1d5db": "light grey",
        "#1f2937": "dark grey",
        "#1d4ed8": "blue",
        "#00b140": "green (to be replaced)",
        "picture": "a picture of your own",
    },
    background_picture="Background picture",
    longer="If the speech is longer",
    longer_ways={"bounce": "it plays forth and back", "loop": "it begins again", "freeze": "its last frame stays"},
    shorter="If the speech is shorter",
    shorter_ways={"cut": "the video ends with it", "rest": "the rest follows, lips closed"},
    fps="Frames per second",
    fps_usual="25",
    fps_source="as the video",
    keep_background="The video's own sound",
    keep_background_hint="Under the speech, the old voice too",
    still="Preview",
    still_blinks="about {n} blinks a minute",
    still_no_blinks="no blinks",
    part_choose="Choose the part …",
    part_title="The part of the photo that the video shows",
    part_hint="Drag the frame, or move it with the arrow keys. Zoom with two fingers, the wheel, + and −, or here. The face stays in it.",
    part_frame="Frame: arrow keys move it, + and − change its size",
    part_zoom="Zoom",
    part_size="{width} × {height} pixels of the photo",
    part_reset="Around the face",
    part_cancel="Cancel",
    part_use="Use this part",
)

GERMAN = PictureTexts(
    aspect="Format",
    aspect_hint="Breite zu Höhe",
    aspects={
        "1:1": "Quadrat (1:1)",
        "9:16": "Hochformat (9:16)",
        "4:5": "Hochformat (4:5)",
        "16:9": "Querformat (16:9)",
        "source": "das ganze Foto",
    },
    background="Hintergrund",
    background_hint="Oder eine Farbe, etwa #00b140",
    backgrounds={
        "keep": "wie im Foto",
        "blur": "unscharf",
        "#ffffff": "weiß",
        "#d1d5db": "hellgrau",
        "#1f2937": "dunkelgrau",
        "#1d4ed8": "blau",
        "#00b140": "grün (zum Ersetzen)",
        "picture": "ein eigenes Bild",
    },
    background_picture="Hintergrundbild",
    longer="Wenn die Sprache länger ist",
    longer_ways={"bounce": "läuft es vor und zurück", "loop": "beginnt es von vorn", "freeze": "bleibt das letzte Bild stehen"},
    shorter="Wenn die Sprache kürzer ist",
    shorter_ways={"cut": "endet das Video mit ihr", "rest": "folgt der Rest, Mund zu"},
    fps="Bilder pro Sekunde",
    fps_usual="25",
    fps_source="wie im Video",
    keep_background="Eigener Ton des Videos",
    keep_background_hint="Unter der Sprache, auch die alte Stimme",
    still="Vorschau",
    still_blinks="etwa {n} Lidschläge in der Minute",
    still_no_blinks="keine Lidschläge",
    part_choose="Ausschnitt wählen …",
    part_title="Der Teil des Fotos, den das Video zeigt",
    part_hint="Zieh den Rahmen, oder bewege ihn mit den Pfeiltasten. Vergrößern mit zwei Fingern, dem Rad, + und − oder hier. "
    "Das Gesicht bleibt darin.",
    part_frame="Rahmen: Pfeiltasten bewegen ihn, + und − ändern seine Größe",
    part_zoom="Vergrößerung",
    part_size="{width} × {height} Pixel des Fotos",
    part_reset="Rund um das Gesicht",
    part_cancel="Abbrechen",
    part_use="Diesen Teil nehmen",
)
