"""Kokoro-82M, the natural voices: an int8 network by ONNX Runtime on the CPU, with the exact time of every phone.

The network is had in `kokoro_network.py`, the voices lie in `voices/`. The model is described at
https://huggingface.co/hexgrad/Kokoro-82M.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable
from core.speech_synthesis import japanese
from core.speech_synthesis.base import Speech, Voice, check_cancel
from core.speech_synthesis.espeak_library import EspeakLibrary, espeak_library, has_system_library
from core.speech_synthesis.kokoro_letters import Letters, letters_of, said_of, spelling
from core.speech_synthesis.kokoro_network import KokoroNetwork, NetworkFile, missing_part, not_installed
from core.speech_synthesis.phone_times import kokoro_phones
from core.speech_synthesis.pronunciations import FOLDER
from core.speech_synthesis.word_times import phrase_times, word_times
from core.thread_priority import PATIENT_SOON, by_patient_thread

RATE_HZ = 24_000
UNIT = 600
"""Samples of one unit of the durations."""
EARLY_UNITS = 3
"""A phone is heard this much before the durations say (measured on the onsets of words)."""
LEAD_UNITS = 2
"""Silence kept before the first phone: the network begins with several times as much."""
CANCEL_POLL_S = 0.05
_WIDTH, _ROWS = 256, 510
_LICENCE = "Apache-2.0"

JAPANESE = "ja-JP"
VOICES = tuple(
    Voice(id, name, language, RATE_HZ, _LICENCE, True)
    for id, name, language in (
        ("af_heart", "Heart", "en-US"),
        ("af_bella", "Bella", "en-US"),
        ("am_michael", "Michael", "en-US"),
        ("bf_emma", "Emma", "en-GB"),
        ("bm_george", "George", "en-GB"),
        ("ef_dora", "Dora", "es"),
        ("ff_siwis", "Siwis", "fr"),
        ("if_sara", "Sara", "it"),
        ("pf_dora", "Dora", "pt-BR"),
        ("hf_alpha", "Alpha", "hi"),
        ("jf_alpha", "Alpha", JAPANESE),
    )
)
_ESPEAK_CODES = {"en-US": "en-us", "en-GB": "en-gb", "es": "es", "fr": "fr", "it": "it", "pt-BR": "pt-br", "hi": "hi"}


class Kokoro:
    """Loads within about half a second. Raises EngineUnavailable where a package is missing or damaged."""

    voices = VOICES

    def __init__(self, threads: int = 0, file: NetworkFile | None = None, cancel: threading.Event | None = None) -> None:
        """threads: of one sentence's computation; 0: one for each core, four at most. file: of the network, without its packages."""
        self._espeak: EspeakLibrary = espeak_library()
        threads = threads or min(4, os.cpu_count() or 1)
        ended = cancel or threading.Event()
        self._network = by_patient_thread(lambda: KokoroNetwork(threads, file, ended), PATIENT_SOON)
        self._tables: dict[str, NDArray[np.float32]] = {}
        self.revision = f"kokoro-82m {self._network.revision} espeak-ng {self._espeak.version} 3"

    def warmup(self) -> None:
        for _ in self.speak("Hello.", VOICES[0], 1.0, threading.Event()):
            pass

    def speak(self, text: str, voice: Voice, speed: float, cancel: threading.Event) -> Iterator[Speech]:
        """As `Synthesiser.speak`. A text longer than the network takes becomes several pieces."""
        if voice.language == JAPANESE:
            said = japanese.said(text)
        else:
            said = said_of(text, self._espeak.read(text, _ESPEAK_CODES[voice.language], 1.0, cancel).words, voice.language)
        pieces = letters_of(text, said)
        for index, letters in enumerate(pieces):
            check_cancel(cancel)
            samples, units = self._run(letters, voice, speed, cancel)
            first = letters.words[0].start if index else 0
            last = pieces[index + 1].words[0].start if index + 1 < len(pieces) else len(text)
            yield _piece(text[first:last], first, letters, samples, units, voice.language != JAPANESE)

    def _run(self, letters: Letters, voice: Voice, speed: float, cancel: threading.Event) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(samples, units of each letter with the silence before and after)."""
        style = self._table(voice.id)[min(len(letters.numbers), _ROWS) - 1]
        with _ended_by(cancel) as options:
            samples, units = self._network.run(np.array([0, *letters.numbers, 0], np.int64), style, speed, options)
        return np.clip(np.asarray(samples, np.float32).ravel(), -1.0, 1.0), np.asarray(units, np.int64).ravel()

    def _table(self, voice_id: str) -> NDArray[np.float32]:
        table = self._tables.get(voice_id)
        if table is None:
            table = np.fromfile(FOLDER / f"{voice_id}.f16", "<f2").reshape(_ROWS, _WIDTH).astype(np.float32)
            self._tables[voice_id] = table
        return table


def _piece(
    text: str, offset: int, letters: Letters, samples: NDArray[np.float32], units: NDArray[np.int64], blanks: bool
) -> Speech:  # fmt: skip
    """text: what is said in it. offset: its first character in the text that the letters' words count in. blanks: they part its words."""
    cut = max(0, int(units[0]) - EARLY_UNITS - LEAD_UNITS)
    edges = np.maximum(np.concatenate(([0], np.cumsum(units))) - EARLY_UNITS - cut, 0) * UNIT / RATE_HZ
    heard = [(word.start - offset, float(edges[word.first + 1]), float(edges[word.after + 1])) for word in letters.words]
    sound = samples[cut * UNIT :]
    named = zip(spelling(letters.numbers), edges[1:].tolist(), strict=False)  # the last edges are those of the silence after it
    phones = kokoro_phones([*named, ("", float(edges[-2]))], len(sound) / RATE_HZ)
    return Speech(sound, RATE_HZ, text.strip(), word_times(text, heard) if blanks else phrase_times(text, heard), phones)


@contextlib.contextmanager
def _ended_by(cancel: threading.Event) -> Iterator[Any]:
    """Options of one run of the network, which ends between two of its nodes once `cancel` is set; Cancelled is raised then."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if cancel.wait(CANCEL_POLL_S):
                options.terminate = True
                return

    watcher = threading.Thread(target=watch, name="speech cancel", daemon=True)
    watcher.start()
    try:
        yield options
    except Exception:
        check_cancel(cancel)
        raise
    finally:
        ended.set()
        watcher.join()


def check_installed(file: NetworkFile | None = None, language: str = "") -> None:
    """Raises EngineUnavailable naming the first package that is missing; loads nothing. file: of the network, without its packages.
    language: of the voice.
    """
    if language == JAPANESE:
        japanese.check_installed()
    for module in ("onnxruntime", "espeakng_loader"):
        if importlib.util.find_spec(module) is None and not (module == "espeakng_loader" and has_system_library()):
            raise not_installed(module.replace("_", "-"))
    if file is None and (package := missing_part()) is not None:
        raise not_installed(package)


def is_installed(file: NetworkFile | None = None, language: str = "") -> bool:
    try:
        check_installed(file, language)
    except EngineUnavailable:
        return False
    return True
