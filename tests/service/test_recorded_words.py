"""The words of recordings: by PocketSphinx, by a service, remembered, and where there is no recogniser."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.errors import Cancelled, EngineUnavailable, OptionError
from core.media.audio import load_audio
from core.service import recorded_words
from core.service.recorded_words import Recognition, RecordedWords
from core.service.speech_recognition import SpeechRecognition
from core.settings import Settings
from core.speech_recognition import sphinx, sphinx_process
from core.types import SAMPLE_RATE_HZ, Word
from tests.support.paths import SPEECH
from tests.support.recognition_server import KEY, RecognitionServer, recognition_server
from tests.support.serving import wait_for

TASK = b'{"task": "words"}'
"""What PocketSphinx' process is asked for."""


@pytest.fixture(scope="module")
def server() -> Iterator[RecognitionServer]:
    with recognition_server() as server:
        yield server


def timed_words(server: RecognitionServer, hears: str, samples: int) -> tuple[Word, ...]:
    server.hears = hears
    with closing(SpeechRecognition(Settings(recognition_url=server.url, recognition_key=KEY, recognition_timeout_s=2.0))) as service:
        return service.timed_words(np.zeros(samples, np.float32))


def test_words_of_a_recording_and_when_they_are_said() -> None:
    samples = load_audio(SPEECH, Settings()).samples
    words = sphinx.recognised(samples, threading.Event())
    assert len(words) >= 3
    assert all(word.text and word.text[0].isalpha() and "(" not in word.text for word in words)
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] <= len(samples) / SAMPLE_RATE_HZ + 0.05
    loud = [np.abs(samples[int(word.start_s * SAMPLE_RATE_HZ) : int(word.end_s * SAMPLE_RATE_HZ)]).mean() for word in words]
    assert np.mean(loud) > np.abs(samples).mean() * 0.9, "words lie where something is heard"


def test_a_long_recording_is_cut_at_pauses() -> None:
    samples = np.random.default_rng(1).normal(0, 3000, 15 * SAMPLE_RATE_HZ).astype(np.int16)
    samples[9 * SAMPLE_RATE_HZ : 10 * SAMPLE_RATE_HZ] = 0
    assert 9 * SAMPLE_RATE_HZ < sphinx_process.part(samples) < 10 * SAMPLE_RATE_HZ
    assert sphinx_process.part(samples[: 5 * SAMPLE_RATE_HZ]) == 5 * SAMPLE_RATE_HZ


def test_it_ends_when_it_is_cancelled() -> None:
    cancel = threading.Event()
    began = time.monotonic()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(Cancelled):
        sphinx.recognised(np.zeros(600 * SAMPLE_RATE_HZ, np.float32), cancel)
    assert time.monotonic() - began < 30, "not only at its end"
    stuck = threading.Event()
    recognition = Recognition(lambda ended: (stuck.wait(30), ())[1], threading.Event())
    recognition.cancel()
    with pytest.raises(Cancelled):
        recognition.words()
    stuck.set()


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "_PROGRAM", "core.speech_recognition.missing")
    with pytest.raises(EngineUnavailable, match="No module named") as caught:
        sphinx.recognised(np.zeros(SAMPLE_RATE_HZ, np.float32), threading.Event())
    assert caught.value.code == "recognition_failed"


def test_a_process_that_cannot_be_started_fails_likewise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A video is not lost with it: whoever waits for captions knows this error."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(EngineUnavailable, match="cannot be started") as caught:
        sphinx.recognised(np.zeros(SAMPLE_RATE_HZ, np.float32), threading.Event())
    assert caught.value.code == "recognition_failed"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups of a terminal")
def test_ctrl_c_in_the_terminal_does_not_reach_it() -> None:
    """A server that is stopped so leaves its job to the next one, and does not take the recogniser's end for a failure."""
    with sphinx._process(2) as process:
        assert os.getpgid(process.pid) not in (os.getpgid(0), 0)
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_a_service_manager_that_ends_all_processes_does_not_make_it_fail() -> None:
    silence = bytes(2 * SAMPLE_RATE_HZ * 4)
    with sphinx._process(len(silence), len(TASK)) as process:
        assert process.stdin is not None
        process.stdin.write(silence)  # more than a pipe holds: it reads already
        process.stdin.flush()
        process.terminate()
        answer, _ = process.communicate(TASK)
    assert (process.returncode, answer) == (0, b"[]")


@pytest.mark.parametrize(("promised", "code"), [(2000, 0), (2002, 1)], ids=["whole", "broken off"])
def test_nothing_is_recognised_for_a_process_that_is_gone(promised: int, code: int) -> None:
    command = [sys.executable, "-m", sphinx._PROGRAM, str(promised), str(len(TASK))]
    ended = subprocess.run(command, input=bytes(2000) + TASK, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, b"" if code else b"[]")


def test_what_computes_here_waits_for_what_is_more_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, words = threading.Event(), (Word("One", 0.0, 0.5),)
    monkeypatch.setattr(sphinx, "recognised", lambda samples, cancel: (heard.set(), words)[1])
    audio, preview = load_audio(SPEECH, Settings()), threading.Event()
    with closing(SpeechRecognition(Settings())) as service:
        recorded = RecordedWords(service)
        given_up = recorded.begin(audio, "ada", after=preview)
        given_up.cancel()
        with pytest.raises(Cancelled):
            given_up.words()
        recognition = recorded.begin(audio, "ada", after=preview)
        assert not heard.wait(3 * recorded_words.CANCEL_POLL_S)
        preview.set()
        assert recognition.words() == words


def test_words_are_remembered_for_each_owner(server: RecognitionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hears = "One two."
    audio = load_audio(SPEECH, Settings())
    with closing(SpeechRecognition(Settings(recognition_url=server.url, recognition_key=KEY))) as service:
        recorded, before = RecordedWords(service), len(server.requests)
        assert recorded.known(audio, "ada") is None
        words = recorded.begin(audio, "ada").words()
        assert recorded.begin(audio, "ada").words() == recorded.known(audio, "ada") == words
        assert len(server.requests) == before + 1
        assert recorded.known(audio, "bob") is None
        monkeypatch.setattr(recorded_words, "MOST_WORDS", 3)
        recorded.begin(audio, "bob").words()
        assert (recorded.known(audio, "ada"), recorded.known(audio, "bob")) == (None, words), "there is room for one"


def test_what_was_cancelled_counts_until_the_service_has_answered(server: RecognitionServer) -> None:
    """So nobody can pile requests up by cancelling; others are not held up by that."""
    server.hears = "stalling"
    audio, before = load_audio(SPEECH, Settings()), len(server.requests)
    with closing(SpeechRecognition(Settings(recognition_url=server.url, recognition_key=KEY))) as service:
        recorded = RecordedWords(service)
        own = [recorded.begin(audio, "ada") for _ in range(recorded_words.OWNER_AT_ONCE)]
        wait_for(lambda: len(server.requests) == before + len(own))
        for each in own:
            each.cancel()
        more = recorded.begin(audio, "ada")
        other = recorded.begin(audio, "bob")
        wait_for(lambda: len(server.requests) == before + len(own) + 1)
        time.sleep(3 * recorded_words.CANCEL_POLL_S)
        assert len(server.requests) == before + len(own) + 1
        server.hears = "One two."
        server.go_on.set()
        assert [word.text for word in more.words()] == ["One", "two."]
        other.cancel()


def test_words_by_a_service(server: RecognitionServer) -> None:
    words = timed_words(server, "Good evening, <b>Ada</b>.", SAMPLE_RATE_HZ // 2)
    assert [word.text for word in words] == ["Good", "evening,", "<b>Ada</b>."]
    assert [(word.start_s, word.end_s) for word in words] == [(0.2, 0.4), (0.4, 0.5), (0.5, 0.5)], "within the recording"
    sent = server.requests[-1]
    assert (sent["response_format"], sent["timestamp_granularities[]"], sent["rate_hz"]) == ("verbose_json", "word", SAMPLE_RATE_HZ)
    for hears in ("wordless", "dropping", "endless"):
        with pytest.raises(EngineUnavailable):
            timed_words(server, hears, SAMPLE_RATE_HZ)


def test_without_a_recogniser_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "is_installed", lambda: False)
    recorded = RecordedWords(SpeechRecognition(Settings()))
    assert not recorded.available
    assert not recorded.understands("en")
    with pytest.raises(OptionError, match="requirements-recognition") as caught:
        recorded.check()
    assert caught.value.code == "captions_no_recogniser"
