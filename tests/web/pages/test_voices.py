"""Voices as the pages offer them: those of the page's language first, each with a name of its own and a sample it can say."""

from __future__ import annotations

import pytest

from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.web.pages.texts import Texts
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH
from core.web.pages.voices import NUMBERS, sample_sentence, voice_choices


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(Settings(speech_url="http://127.0.0.1:1/v1"), None)


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (ENGLISH, ["English (US): Heart", "English (US): Bella", "English (US): Michael", "English (UK): Emma", "English (UK): George"]),
        (GERMAN, ["Deutsch: Roboterstimme", "Englisch (USA): Heart"]),  # no natural one speaks German
    ],
)
def test_those_of_the_page_come_first_then_the_natural_ones(speaker: Speaker, texts: Texts, first: list[str]) -> None:
    choices = voice_choices(texts, speaker.voices())
    assert [label for label, _ in choices][: len(first)] == first
    assert {id for _, id in choices} == {voice.id for voice in speaker.voices()}
    assert len({label for label, _ in choices}) == len(choices)
    natural = {voice.id for voice in speaker.voices() if voice.natural}
    robotic = [label.partition(":")[0] for label, id in choices[1:] if id not in natural]
    assert robotic == sorted(robotic)
    assert choices[-len(robotic) :] == [each for each in choices[1:] if each[1] not in natural]


def test_each_voice_can_say_its_sample(speaker: Speaker) -> None:
    for voice in speaker.voices():
        speaker.check(sample_sentence(voice), voice)
    said = {voice.id: sample_sentence(voice) for voice in speaker.voices()}
    assert said["service-alloy"] == said["af_heart"] == said["espeak-en-gb"] == "Hello, this is how my voice sounds."
    assert "klingt" in said["espeak-de"]
    assert said["espeak-eo"] == NUMBERS
