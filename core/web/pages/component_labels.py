"""Words that Gradio's components have in English alone, in the other languages of the pages (static/labels.js).

Where Gradio's words end with a blank, what follows differs: it takes the place of {rest}, or is left out.
"""

from __future__ import annotations

GERMAN = {
    "More tabs": "Weitere Reiter",
    "File upload": "Datei hochladen",
    "Upload file": "Datei hochladen",
    "Click to upload or drop files": "Drücken, um Dateien hochzuladen, oder hier ablegen",
    "Uploading 1 file...": "Eine Datei wird hochgeladen …",
    "Capture from camera": "Mit der Kamera aufnehmen",
    "grant webcam access": "Kamera freigeben",
    "Click to Access Webcam": "Kamera einschalten",
    "Paste from clipboard": "Aus der Zwischenablage einfügen",
    "Record audio": "Mit dem Mikrofon aufnehmen",
    "Select input device": "Gerät wählen",
    "Empty value": "Noch leer",
    "Gradio footer navigation": "Fußzeile",
    "Fullscreen": "Vollbild",
    "Exit fullscreen mode": "Vollbild verlassen",
    "full-screen": "Vollbild",
    "Remove Image": "Bild entfernen",
    "Adjust volume": "Lautstärke",
    "Adjust playback speed to ": "Tempo ändern auf {rest}",
    "Skip backwards by ": "Zurückspringen",
    "Skip forward by ": "Vorspringen",
    "Reset audio": "Änderungen an der Aufnahme verwerfen",
    "undo": "Rückgängig",
    "Trim audio to selection": "Aufnahme zuschneiden",
    "play-pause-replay-button": "Abspielen oder anhalten",
    "pause": "Anhalten",
    "Reset to default value": "Zurücksetzen",
    "number input for ": "Zahl: {rest}",
    "range slider for ": "Regler: {rest}",
    "Close": "Schließen",
    "Error": "Fehler",
    "Warning": "Warnung",
    "Info": "Hinweis",
    "Connection Lost": "Verbindung unterbrochen",
    "Connection to the server was lost. Attempting reconnection...":
        "Der Server ist nicht zu erreichen. Sobald er wieder antwortet, wird die Seite neu geladen.",
    "Connection errored out.": "Der Server ist nicht zu erreichen.",
    "This application is currently busy. Please try again.": "Hier ist gerade zu viel los. Versuche es noch einmal.",
    "Could not parse server response: ": "Die Antwort des Servers ist nicht zu verstehen. Versuche es noch einmal.",
    "Upload failed": "Das Hochladen ist gescheitert.",
    "Failed to upload file: ": "Das Hochladen ist gescheitert.",
}
BY_LANGUAGE: dict[str, dict[str, str]] = {"en": {}, "de": GERMAN}
"""By the language of the page; Gradio's own words in English."""
