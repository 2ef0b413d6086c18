"""Japanese: phones in Kokoro's alphabet, phrases with their places, captions without blanks, and what is told without its package."""

from __future__ import annotations

import pytest

from core.errors import EngineUnavailable, TextError
from core.media.captions import captions
from core.settings import Settings
from core.speech_synthesis import japanese
from core.speech_synthesis.kokoro_letters import alphabet, letters_of
from core.speech_synthesis.speaker import Speaker
from core.speech_synthesis.text import read_text
from core.speech_synthesis.word_times import phrase_times

TEXT = "これは日本語です。"


@pytest.mark.parametrize(
    ("phones", "letters"),
    [
        ("k o N n i ch i w a", "konɲiʨiβa"),
        ("sh i N b u N", "ɕimbɯɴ"),
        ("g e N k i", "ɡeŋkʲi"),
        ("g a cl k o o", "ɡaʔkoː"),
        ("d e s U", "desɨ"),
        ("ky o o ts u", "kʲoːʦɨ"),
        ("hy a k u", "çakɯ"),
        ("f u j i s a N ch o o", "ɸɯʥisaɲʨoː"),
        ("i i e e", "iːeː"),
    ],
)
def test_phones_become_letters_of_the_alphabet(phones: str, letters: str) -> None:
    assert japanese.spelled(phones.split()) == letters
    assert set(letters) <= set(alphabet())


def test_phrases_have_times_and_captions_no_blanks() -> None:
    words = phrase_times("東京は、いい天気です。", [(0, 0.0, 0.5), (4, 0.6, 0.8), (6, 0.8, 1.5)])
    assert [(word.text, word.start_s) for word in words] == [("東京は、", 0.0), ("いい", 0.6), ("天気です。", 0.8)]
    assert [caption.lines for caption in captions(words)] == [("東京は、いい天気です。",)]
    long = captions(phrase_times("あ" * 60, [(at, at / 10, at / 10 + 0.1) for at in range(60)]))
    assert max(len(line) for caption in long for line in caption.lines) == 21, "its letters are twice as wide"
    assert phrase_times("。", []) == ()


def test_letters_of_a_text_without_blanks_are_cut_where_there_are_too_many() -> None:
    pieces = letters_of("あ" * 300, [(at, "ɡaʔ", "") for at in range(300)])
    assert len(pieces) > 1
    assert sum(len(piece.words) for piece in pieces) == 300


def test_without_the_package_it_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(japanese, "is_installed", lambda: False)
    speaker = Speaker(Settings(), None)
    assert "jf_alpha" not in {voice.id for voice in speaker.voices()}
    assert [offer.installed for offer in speaker.offers() if offer.voice.id == "jf_alpha"] == [False]
    with pytest.raises(EngineUnavailable, match="requirements-japanese"):
        speaker.voice("jf_alpha")
    for language in ("en-US", "ja"):
        with pytest.raises(TextError, match="requirements-japanese"):
            read_text("日本語日本語です。", language, 100)
    monkeypatch.setattr(japanese, "is_installed", lambda: True)
    read_text(TEXT, "ja-JP", 100)
    with pytest.raises(TextError) as caught:
        read_text(TEXT, "en-US", 100)
    assert "requirements-japanese" not in str(caught.value.hint)


@pytest.mark.skipif(not japanese.is_installed(), reason="requirements-japanese.txt is not installed")
def test_kanji_numbers_and_latin_letters_are_read() -> None:
    said = japanese.said("今日は2026年、AIは3.5%。「本当？」")
    assert [start for start, _, _ in said] == [0, 3, 9, 12, 18]
    assert said[0][1] == "kʲoːβa"
    assert said[1][1:] == ("ɲisenɲiʥɨːɾokɯneɴ", ",")
    assert said[-1][1:] == ("hontoː", "?")
    assert all(set(letters) <= set(alphabet()) for _, letters, _ in said)
    assert japanese.said("。！？") == []
