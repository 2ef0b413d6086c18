"""What the Videos tab says, in every language."""

from __future__ import annotations

from typing import TypedDict


class VideosTexts(TypedDict):
    """left: with {minutes}. unnamed: with {number}, counted from the oldest."""

    unnamed: str
    left: str
    reuse: str
    keep: str
    kept: str
    kept_longest: str
    rename: str
    name: str
    save: str
    cancel: str
    delete: str
    delete_sure: str
    deleted: str
    gone: str
    coming: str


ENGLISH = VideosTexts(
    unnamed="Video {number}",
    left="kept for {minutes} min more",
    reuse="Reuse settings",
    keep="Keep longer",
    kept="Its time begins anew.",
    kept_longest="This video was kept as long as possible. Download it.",
    rename="Rename",
    name="Name of the video",
    save="Save",
    cancel="Cancel",
    delete="Delete",
    delete_sure="Delete for good?",
    deleted="The video is deleted.",
    gone="That video is gone.",
    coming="Your newest video comes here once its words are recognised. Generate shows it already.",
)
GERMAN = VideosTexts(
    unnamed="Video {number}",
    left="noch {minutes} min da",
    reuse="Einstellungen übernehmen",
    keep="Länger behalten",
    kept="Die Zeit beginnt von vorn.",
    kept_longest="Länger lässt sich dieses Video nicht behalten. Lade es herunter.",
    rename="Umbenennen",
    name="Name des Videos",
    save="Sichern",
    cancel="Abbrechen",
    delete="Löschen",
    delete_sure="Endgültig löschen?",
    deleted="Das Video ist gelöscht.",
    gone="Jenes Video ist nicht mehr da.",
    coming="Dein neuestes Video kommt hierher, sobald seine Wörter erkannt sind. Unter Erzeugen ist es schon zu sehen.",
)
