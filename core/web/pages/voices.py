"""How the pages name the voices, in which order, and what each of them says as a sample."""

from __future__ import annotations

from collections.abc import Sequence

from core.speech_synthesis.base import Voice
from core.web.pages.texts import Texts

SAMPLES = {
    "chr": "Osiyo!",
    "cs": "Dobrý den, takto zní můj hlas.",
    "cv": "Салам!",
    "da": "Goddag, sådan lyder min stemme.",
    "de": "Guten Tag, so klingt meine Stimme.",
    "en": "Hello, this is how my voice sounds.",
    "es": "Hola, así suena mi voz.",
    "fi": "Hei, tältä ääneni kuulostaa.",
    "fr": "Bonjour, voici comment sonne ma voix.",
    "hi": "नमस्ते, मेरी आवाज़ ऐसी है।",
    "hu": "Jó napot, ilyen a hangom.",
    "it": "Buongiorno, questa è la mia voce.",
    "no": "Hei, slik høres stemmen min ut.",
    "nl": "Hallo, zo klinkt mijn stem.",
    "pl": "Dzień dobry, tak brzmi mój głos.",
    "pt": "Olá, é assim que soa a minha voz.",
    "ro": "Bună ziua, așa sună vocea mea.",
    "ru": "Здравствуйте, так звучит мой голос.",
    "sjn": "Mae govannen!",
    "sv": "Hej, så här låter min röst.",
    "tr": "Merhaba, sesim böyle.",
    "uk": "Добрий день, так звучить мій голос.",
}
NUMBERS = "1, 2, 3, 4, 5."
"""What a voice of any other language can say."""


def voice_choices(texts: Texts, voices: Sequence[Voice]) -> list[tuple[str, str]]:
    """Label and id of each: those of the page's language first, natural ones before the others, and these by their language."""
    own_natural = any(voice.natural and _base(voice) == texts.language for voice in voices)

    def order(voice: Voice) -> tuple[int, str]:
        if _base(voice) == texts.language and (voice.natural or not own_natural):
            return 0, ""
        return (1, "") if voice.natural else (2, _language(texts, voice))

    return [(_label(texts, voice), voice.id) for voice in sorted(voices, key=order)]


def sample_sentence(voice: Voice) -> str:
    """In the voice's language; in English where it speaks several."""
    return SAMPLES.get(_base(voice) or "en", NUMBERS)


def _label(texts: Texts, voice: Voice) -> str:
    return texts.voice_label.format(language=_language(texts, voice), name=voice.name if voice.natural else texts.voice_machine)


def _language(texts: Texts, voice: Voice) -> str:
    """In the page's language where it has a word for it, else in English."""
    return texts.languages.get(voice.language, voice.name.removeprefix("espeak-ng "))


def _base(voice: Voice) -> str:
    return voice.language.partition("-")[0].lower()
