"""What the Chat tab says, in every language; its script gets it as JSON."""

from __future__ import annotations

from typing import TypedDict


class ChatTexts(TypedDict):
    """partner, echo: with {name}. first_..., clip_after: the parts of an answer's latency, each with {s}, its seconds."""

    tab: str
    intro: str
    start: str
    way: str
    way_live: str
    way_clips: str
    preparing: str
    no_voices: str
    no_video: str
    no_face: str
    partner: str
    echo: str
    log: str
    you: str
    write: str
    hint: str
    send: str
    stop: str
    speak: str
    anew: str
    clip_coming: str
    clip_after: str
    clip_lost: str
    interrupted: str
    cut_off: str
    first_word: str
    first_sentence: str
    first_sound: str
    first_picture: str
    lost: str
    elsewhere: str
    muted: str
    microphone: str
    microphone_service: str
    no_microphone: str
    listening: str
    recognising: str
    not_heard: str
    recognition_lost: str
    recognition_failed: str
    microphone_denied: str
    microphone_missing: str
    microphone_insecure: str


ENGLISH = ChatTexts(
    tab="Chat",
    intro="Talk with a person on a photo: you write or speak, the answer is written and said at once. A new photo "
    "is kept among your avatars.",
    start="Start the conversation",
    way="How the person answers",
    way_live="Live: says it while it is written",
    way_clips="Clips: the text at once, a video of it later",
    preparing="Getting ready …",
    no_voices="The answers are text only, without a face: no voices are installed here. Whoever runs this page can add them: "
    "./setup.sh speech.",
    no_video="The answers are text only:",
    no_face="no face can be moved just now. End the conversation, and start another one.",
    partner="You talk with {name}.",
    echo="You talk with {name}, a built-in echo that only repeats what you say: no language model is set here.",
    log="Conversation",
    you="You",
    write="Your message",
    hint="Write, and press Enter",
    send="Send",
    stop="Stop",
    speak="Speak",
    anew="End",
    clip_coming="The video of this answer is being made …",
    clip_after="video {s} s",
    clip_lost="The video of this answer could not be loaded.",
    interrupted="interrupted",
    cut_off="The answer was cut off: it became too long.",
    first_word="First word after {s} s",
    first_sentence="first sentence {s} s",
    first_sound="first sound {s} s",
    first_picture="first picture {s} s",
    lost="The connection was lost; trying again.",
    elsewhere="The face is shown in another window now. Reload this page to have it here.",
    muted="The sound is off until you click or press a key: your browser wants that after a reload.",
    microphone="Speak: your browser recognises the words itself; some browsers send the sound to their maker for that.",
    microphone_service="Speak: the microphone stays open until you press it again, and each pause ends what you say. The sound "
    "goes to this server, and from there to its speech recognition.",
    no_microphone="This browser does not recognise speech, so you write here. Chrome, Edge and Safari do.",
    listening="Listening …",
    recognising="Recognising what you said …",
    not_heard="Nothing was heard. Press Speak and try again.",
    recognition_lost="What you said did not arrive. Say it again, or write.",
    recognition_failed="The browser could not recognise the speech. Write instead, or try again.",
    microphone_denied="The microphone is not allowed here. Allow it in the browser's address bar, then press Speak again.",
    microphone_missing="No microphone was found. Connect one, then press Speak again.",
    microphone_insecure="Browsers lend the microphone only to pages with https. Write instead, or open the page by its https address.",
)
GERMAN = ChatTexts(
    tab="Chat",
    intro="Sprich mit einer Person auf einem Foto: Du schreibst oder sprichst, die Antwort wird sofort geschrieben und gesprochen. Ein "
    "neues Foto bleibt unter deinen Avataren.",
    start="Gespräch beginnen",
    way="Wie die Person antwortet",
    way_live="Live: spricht, während geschrieben wird",
    way_clips="Clips: der Text sofort, später ein Video davon",
    preparing="Wird vorbereitet …",
    no_voices="Die Antworten sind nur Text, ohne Gesicht: Hier sind keine Stimmen installiert. Der Betreiber dieser Seite kann sie "
    "nachholen: ./setup.sh speech.",
    no_video="Die Antworten sind nur Text:",
    no_face="Gerade lässt sich kein Gesicht bewegen. Beende das Gespräch, und beginne ein neues.",
    partner="Du sprichst mit {name}.",
    echo="Du sprichst mit {name}, einem eingebauten Echo, das nur wiederholt, was du sagst: Hier ist kein Sprachmodell eingestellt.",
    log="Gespräch",
    you="Du",
    write="Deine Nachricht",
    hint="Schreibe und drücke Enter",
    send="Senden",
    stop="Anhalten",
    speak="Sprechen",
    anew="Beenden",
    clip_coming="Das Video dieser Antwort wird gemacht …",
    clip_after="Video {s} s",
    clip_lost="Das Video dieser Antwort ließ sich nicht laden.",
    interrupted="unterbrochen",
    cut_off="Die Antwort ist abgeschnitten: Sie wurde zu lang.",
    first_word="Erstes Wort nach {s} s",
    first_sentence="erster Satz {s} s",
    first_sound="erster Ton {s} s",
    first_picture="erstes Bild {s} s",
    lost="Die Verbindung ist abgebrochen; neuer Versuch.",
    elsewhere="Das Gesicht ist jetzt in einem anderen Fenster zu sehen. Lade diese Seite neu, um es hier zu haben.",
    muted="Der Ton ist aus, bis du klickst oder eine Taste drückst: Dein Browser will das nach dem Neuladen so.",
    microphone="Sprechen: Dein Browser erkennt die Worte selbst; manche Browser schicken den Ton dafür an ihren Hersteller.",
    microphone_service="Sprechen: Das Mikrofon bleibt offen, bis du noch einmal drückst, und jede Pause beendet, was du sagst. Der Ton "
    "geht an diesen Server und von dort an seine Spracherkennung.",
    no_microphone="Dieser Browser erkennt keine Sprache, hier schreibst du also. Chrome, Edge und Safari können es.",
    listening="Ich höre zu …",
    recognising="Das Gesprochene wird erkannt …",
    not_heard="Es war nichts zu hören. Drücke Sprechen und versuche es noch einmal.",
    recognition_lost="Was du gesagt hast, kam nicht an. Sage es noch einmal, oder schreibe.",
    recognition_failed="Der Browser konnte das Gesprochene nicht erkennen. Schreibe, oder versuche es noch einmal.",
    microphone_denied="Das Mikrofon ist hier nicht erlaubt. Erlaube es in der Adresszeile des Browsers und drücke noch einmal Sprechen.",
    microphone_missing="Es ist kein Mikrofon da. Schließe eines an und drücke noch einmal Sprechen.",
    microphone_insecure="Browser geben das Mikrofon nur Seiten mit https. Schreibe, oder öffne die Seite über ihre https-Adresse.",
)
