"""The speech that a command line is given: a recording, or a text that is spoken; with its words where captions need them."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import OptionError, OutputError, disk_error
from core.settings import Settings
from core.types import Audio, Word

if TYPE_CHECKING:
    from core.service.recorded_words import Recognition
    from core.speech_synthesis.speaker import Speaker


@dataclass(frozen=True)
class GivenSpeech:
    """Either a recording or a text. voice: an id, "" for the first. speed: 0.5 to 2."""

    recording: Path | None = None
    text: str = ""
    voice: str = ""
    speed: float = 1.0


def check_text(speech: GivenSpeech, speaker: Speaker, captions: bool) -> None:
    """Raises TextError, OptionError or EngineUnavailable for a text that cannot be spoken. captions: the times of its words are needed."""
    voice = speaker.voice(speech.voice)
    speaker.check(speech.text, voice, speech.speed)
    if captions:
        speaker.check_captions(speech.text, voice)


def read_recording(path: Path, settings: Settings) -> Audio:
    """Raises AudioError."""
    from core.media.audio import load_audio

    return load_audio(path, settings)


def speak_text(
    speech: GivenSpeech,
    settings: Settings,
    speaker: Speaker,
    cancel: threading.Event,
    captions: bool,
    checked: Callable[[], None] = lambda: None,
) -> Audio:
    """The text spoken, with the times of its words. checked: called once the text is known to be good. Raises as `check_text`."""
    from core.speech_synthesis.recording import spoken

    check_text(speech, speaker, captions)
    checked()
    return spoken(speaker, settings, speech.text, speaker.voice(speech.voice), speech.speed, cancel=cancel)[0]


@contextlib.contextmanager
def recognition(audio: Audio, settings: Settings, cancel: threading.Event) -> Iterator[Recognition]:
    """The words of the recording are being found. Raises OptionError where there is no recogniser."""
    from core.service.recorded_words import RecordedWords
    from core.service.speech_recognition import SpeechRecognition

    with contextlib.closing(SpeechRecognition(settings)) as service:
        recorded = RecordedWords(service)
        recorded.check()
        yield recorded.begin(audio, "local", cancel)


def check_transcript(transcript: str, speech: GivenSpeech) -> None:
    """Raises OptionError where the transcript, if there is one, is not of a recording, or cannot be aligned here."""
    if transcript:
        from core.service.transcripts import check_transcript as check

        check(speech.recording is None)


def with_transcript(audio: Audio, transcript: str, cancel: threading.Event) -> Audio:
    """The recording with the words and phones of its transcript; "": as it is. Raises OptionError, EngineUnavailable."""
    if not transcript:
        return audio
    from core.service.transcripts import with_transcript as aligned

    return aligned(audio, transcript, cancel)


def check_captions(path: Path, audio: Audio, recorded: bool) -> None:
    """Before the video is made: raises OptionError for a voice that tells no times, OutputError for a folder that is not there.
    recorded: the words are being found.
    """
    if not audio.words and not recorded:
        raise OptionError("The voice does not tell when its words are said, which --captions needs.", "Choose another voice.")
    check_place(path)


def check_place(path: Path) -> None:
    """Raises OutputError for a file in a folder that is not there."""
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path} cannot be written: its folder does not exist.", "Choose another place.")


def write_captions(path: Path, words: Sequence[Word], total_s: float) -> None:
    """total_s: length of the recording. Raises OutputError."""
    from core.media.captions import captions, subrip, webvtt

    form = subrip if path.suffix.lower() == ".srt" else webvtt
    try:
        path.write_text(form(captions(words, total_s=total_s)), "utf-8")
    except OSError as error:
        raise disk_error(error, f"{path} cannot be written", "Choose a place you may write to.") from error


def move_visemes(made: Path, path: Path) -> None:
    """From beside the video to where they were asked for. Raises OutputError."""
    try:
        shutil.move(made, path)
    except OSError as error:
        raise disk_error(error, f"{path} cannot be written", "Choose a place you may write to.") from error
