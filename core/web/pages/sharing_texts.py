"""What the pages say of taking videos along and passing them on, and of a phone's camera and microphone; a table for each language."""

from __future__ import annotations

from typing import TypedDict


class SharingTexts(TypedDict):
    """Placeholders are filled as those of `Texts`."""

    as_webm: str
    as_gif: str
    share: str
    share_failed: str
    converting: str
    take_photo: str
    record: str
    record_stop: str


ENGLISH = SharingTexts(
    as_webm="As WebM",
    as_gif="As GIF",
    share="Share",
    share_failed="It could not be shared. Download it, and share the file.",
    converting="The file is being made …",
    take_photo="Take a photo",
    record="Record",
    record_stop="Stop recording",
)

GERMAN = SharingTexts(
    as_webm="Als WebM",
    as_gif="Als GIF",
    share="Teilen",
    share_failed="Das Teilen ging nicht. Lade das Video herunter und teile die Datei.",
    converting="Die Datei entsteht …",
    take_photo="Foto aufnehmen",
    record="Aufnehmen",
    record_stop="Aufnahme beenden",
)
