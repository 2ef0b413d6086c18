"""A text as it is read: what is refused, where it is cut, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import TextError
from core.speech_synthesis.ssml import Pause
from core.speech_synthesis.text import FIRST_PIECE_CHARS, LONGEST_FIRST_CHARS, MAX_PIECE_CHARS, Said, read_text, read_text_file

MAX = 5000


def said(text: str, language: str = "en-US") -> list[str]:
    return [part.text for part in read_text(text, language, MAX) if isinstance(part, Said)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "text_empty"),
        (" \n\t ", "text_empty"),
        ("!?… —", "text_empty"),
        ("👋🏽 ❤️", "text_empty"),
        ("a\x00b", "text_control_character"),
        ("a\x1b[31mred", "text_control_character"),
        ("half a pair \ud800", "text_control_character"),
        ("x" * (MAX + 1), "text_too_long"),
        ("Привет, мир", "text_language"),
        ("<speak>Hello", "ssml_invalid"),
    ],
)
def test_what_cannot_be_said_is_refused_by_a_code(text: str, code: str) -> None:
    with pytest.raises(TextError) as refused:
        read_text(text, "en-US", MAX)
    assert refused.value.code == code
    assert refused.value.hint
    assert str(refused.value).isprintable()


def test_the_longest_text_is_spoken_however_it_is_made() -> None:
    for text in ("word " * 1000, "x" * MAX, "a." * 2500, "Go! " * 1250, "1" * MAX, ",,, a " * 833, "(a " * 1666):
        pieces = said(text[:MAX])
        assert pieces
        assert max(map(len, pieces)) <= MAX_PIECE_CHARS
    assert "".join(said("x" * MAX)).replace(" ", "") == "x" * MAX, "nothing is lost where there is nowhere to cut"


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Smith paid 2.5 of it. “Really?” Yes!", ["Doctor Smith paid 2.5 of it.", "“Really?”", "Yes!"]),
        ("de", "Am 3. Mai kam Dr. Maier. Gut so!", ["Am 3. Mai kam Doktor Maier.", "Gut so!"]),
        ("es", "¿Cómo está, Sr. López? ¡Bien!", ["¿Cómo está, Sr. López?", "¡Bien!"]),
        ("hi", "नमस्ते। मैं अदा हूँ।", ["नमस्ते।", "मैं अदा हूँ।"]),
        ("pt-BR", "Olá! Tudo bem?", ["Olá!", "Tudo bem?"]),
    ],
)
def test_sentences_are_spoken_one_by_one(language: str, text: str, expected: list[str]) -> None:
    assert said(text, language) == expected


def test_the_first_piece_is_short_so_that_sound_comes_early() -> None:
    sentence = (
        "When a sentence goes on for long, as this one does, it is cut, and the rest of it is not, since nobody waits for that any more."
    )
    first, rest = said(sentence)
    assert len(first) <= FIRST_PIECE_CHARS < len(rest)


def test_a_first_sentence_without_a_pause_is_not_waited_for() -> None:
    sentence = "The old woman who lives in the house behind the church told everybody that she had seen a bear in the garden."
    first, rest = said(sentence)
    assert 35 < len(first) < LONGEST_FIRST_CHARS
    assert f"{first} {rest}" == sentence
    assert said(f"Hello. {sentence}") == ["Hello.", sentence]
    assert f"{first} {rest}" == sentence
    assert said(f"Hello. {sentence}") == ["Hello.", sentence]


def test_paragraphs_have_a_pause_between_them_and_lines_have_none() -> None:
    parts = read_text("One\nline.\n\n\nTwo.", "en", MAX)
    assert [part.text if isinstance(part, Said) else "pause" for part in parts] == ["One line.", "pause", "Two."]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "See https://www.example.com/a/b?c=d, please.", "See example.com, please."),
        ("en", "Read [the *manual*](https://x.org/a_b).", "Read the manual."),
        ("en", "**Bold** and `code` 🎉 here, but snake_case and 2*3 stay.", "Bold and code here, but snake_case and 2*3 stay."),
        ("en", "It costs $3.50, i.e. less than €1,000.", "It costs 3 dollars 50, that is less than 1,000 euros."),
        ("en", "On 2026-05-03 it was 1 km away at 20°C etc.", "On May 3, 2026 it was 1 kilometre away at 20 degrees Celsius et cetera."),
        ("en", "2026-99-99 is no date.", "2026-99-99 is no date."),
        ("de", "Um 15:30 Uhr kostet es z. B. 3,50 €.", "Um 15 Uhr 30 kostet es zum Beispiel 3 Euro 50."),
        ("de", "Am 2026-05-03, ca. 5 km.", "Am 3. Mai 2026, circa 5 Kilometer."),
        ("fr", "Le 2026-05-03 à 5 km.", "Le 2026-05-03 à 5 km."),
    ],
)
def test_what_is_written_for_the_eye_is_said_sensibly(language: str, text: str, expected: str) -> None:
    assert " ".join(said(text, language)) == expected


def test_a_list_is_spoken_item_by_item() -> None:
    assert said("# Title\n- one\n- two!\n* three, four:\n") == ["Title.", "one.", "two!", "three, four:"]


def test_a_word_of_another_script_is_no_reason_to_refuse_a_text() -> None:
    assert said("The Greek letter α is called alpha.") == ["The Greek letter α is called alpha."]
    assert said("Привет, мир", "ru") == ["Привет, мир"]
    assert said("Привет, мир", "") == ["Привет, мир"], "a voice that speaks several languages"


def test_ssml_has_pauses_and_rates() -> None:
    text = """<speak>One. <break time="250ms"/><prosody rate="slow">Two <prosody rate="80%">&amp; three</prosody></prosody>
        <break strength="strong"/><p>Four</p></speak>"""
    assert read_text(text, "fr", MAX) == [
        Said("One.", 1.0), Pause(0.25), Said("Two", 0.75), Said("& three", pytest.approx(0.6)), Pause(0.7), Said("Four", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "inner",
    [
        '<audio src="file:///etc/passwd"/>', '<break time="11s"/>', '<break time="-1s"/>', '<break time="soon"/>',
        '<break strength="big"/>', '<prosody rate="9000%">a</prosody>', '<prosody rate="-50">a</prosody>',
        '<prosody pitch="high">a</prosody>', "<speak>a</speak>",
        "&unknown;", "<p>" * 50 + "a" + "</p>" * 50,
    ],
)  # fmt: skip
def test_ssml_that_is_not_understood_is_refused(inner: str) -> None:
    with pytest.raises(TextError) as refused:
        read_text(f"<speak>Hello. {inner}</speak>", "en", MAX)
    assert refused.value.code == "ssml_invalid"


def test_entities_are_not_declared() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><speak>&b;</speak>'
    with pytest.raises(TextError, match="document type"):
        read_text(bomb, "en", MAX)


def test_a_file_is_read_as_utf8(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_bytes("\ufeffGrüße.".encode())
    assert read_text_file(file, MAX) == "Grüße."
    file.write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(TextError) as refused:
        read_text_file(file, MAX)
    assert refused.value.code == "text_encoding"
    file.write_bytes(b"x" * 100)
    with pytest.raises(TextError, match="t.txt"):
        read_text_file(file, 20)
