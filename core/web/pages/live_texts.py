"""What the Live tab and the players say, in every language; their scripts get it as JSON."""

from __future__ import annotations

from typing import TypedDict


class LiveTexts(TypedDict):
    """delay, network: with {s} seconds and {ms} milliseconds."""

    tab: str
    intro: str
    size: str
    start: str
    preparing: str
    ready: str
    speaking: str
    listening: str
    muted: str
    stop: str
    mute: str
    interrupt: str
    sound: str
    sound_note: str
    level: str
    delay: str
    network: str
    stopped: str
    lost: str
    by_websocket: str
    elsewhere: str
    microphone_lost: str
    failed: str
    needs: str
    needs_video: str


class PlayerTexts(TypedDict):
    """Of the buttons beneath a video."""

    player: str
    pause: str
    play: str
    mute: str
    unmute: str
    volume: str
    larger: str
    smaller: str
    full_screen: str
    small_window: str


ENGLISH = LiveTexts(
    tab="Live",
    intro="Speak into the microphone: the person in the picture says it as you speak. A new photo is kept among your avatars.",
    size="Video size",
    start="Start",
    preparing="Getting ready …",
    ready="Speak now.",
    speaking="Speaking.",
    listening="Listening.",
    muted="The microphone is off.",
    stop="Stop",
    mute="Mute the microphone",
    interrupt="Interrupt",
    sound="Sound",
    sound_note="You hear your own voice, later: use headphones, or the microphone hears it, too.",
    level="Level of the microphone",
    delay="The face is {s} s behind your voice",
    network="network {ms} ms",
    stopped="Stopped.",
    lost="The connection was lost; trying again. What you say now is not heard.",
    by_websocket="WebRTC did not connect, mostly because UDP is blocked on the way to the server: the video comes over the WebSocket, a "
    "little later.",
    elsewhere="A newer session took the place of this one.",
    microphone_lost="The microphone is gone. Connect it, and start again.",
    failed="No face can be moved just now. Start again in a minute.",
    needs="The Live tab needs a microphone, a page over https (or on this computer), and a current Chrome, Edge, Firefox or Safari.",
    needs_video="This browser cannot play a video while it is made: it lacks Media Source Extensions. Current Chrome, Edge, Firefox and "
    "Safari have them, on an iPhone from iOS 17.1 on.",
)
GERMAN = LiveTexts(
    tab="Live",
    intro="Sprich ins Mikrofon: Die Person im Bild sagt es, während du sprichst. Ein neues Foto bleibt unter deinen Avataren.",
    size="Größe des Videos",
    start="Starten",
    preparing="Wird vorbereitet …",
    ready="Sprich jetzt.",
    speaking="Spricht.",
    listening="Hört zu.",
    muted="Das Mikrofon ist aus.",
    stop="Beenden",
    mute="Mikrofon stummschalten",
    interrupt="Unterbrechen",
    sound="Ton",
    sound_note="Du hörst deine eigene Stimme, nur später: Nimm Kopfhörer, sonst hört das Mikrofon sie auch.",
    level="Pegel des Mikrofons",
    delay="Das Gesicht folgt deiner Stimme nach {s} s",
    network="Netz {ms} ms",
    stopped="Beendet.",
    lost="Die Verbindung ist abgebrochen; neuer Versuch. Was du jetzt sagst, wird nicht gehört.",
    by_websocket="WebRTC kam nicht zustande, meist weil UDP auf dem Weg zum Server gesperrt ist: Das Video kommt über den WebSocket, etwas "
    "später.",
    elsewhere="Eine neuere Sitzung hat den Platz dieser Sitzung.",
    microphone_lost="Das Mikrofon ist weg. Schließe es an und starte noch einmal.",
    failed="Gerade lässt sich kein Gesicht bewegen. Starte in einer Minute noch einmal.",
    needs="Der Live-Tab braucht ein Mikrofon, eine Seite über https (oder auf diesem Rechner) und einen aktuellen Browser: Chrome, Edge, "
    "Firefox oder Safari.",
    needs_video="Dieser Browser kann kein Video abspielen, während es entsteht: Ihm fehlen die Media Source Extensions. Aktuelle Versionen "
    "von Chrome, Edge, Firefox und Safari haben sie, auf dem iPhone ab iOS 17.1.",
)
ENGLISH_PLAYER = PlayerTexts(
    player="Video player",
    pause="Pause",
    play="Go on",
    mute="Sound off",
    unmute="Sound on",
    volume="Volume",
    larger="Enlarge",
    smaller="Make smaller",
    full_screen="Full screen",
    small_window="Picture in picture",
)
GERMAN_PLAYER = PlayerTexts(
    player="Videospieler",
    pause="Pause",
    play="Weiter",
    mute="Ton aus",
    unmute="Ton an",
    volume="Lautstärke",
    larger="Vergrößern",
    smaller="Verkleinern",
    full_screen="Vollbild",
    small_window="Bild im Bild",
)
