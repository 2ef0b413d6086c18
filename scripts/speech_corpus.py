"""Synthesises speech with exact phone times by flite and espeak-ng (both in Debian).

`flite(...)` and `Espeak.say(...)` return an Utterance: 16 kHz samples and (phone, start_s, end_s) segments in IPA that tile it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from core.lite import phones
from core.speech_synthesis.espeak_library import CALLBACK
from core.speech_synthesis.phone_times import with_closures
from core.types import Phone

RATE = 16_000


@dataclass(frozen=True)
class Utterance:
    """samples: (n,) float32 at 16 kHz. segments: phones in IPA ("_" for silence), seconds, in order."""

    samples: NDArray[np.float32]
    segments: list[phones.Segment]


def flite(text: str, voice: str, stretch: float = 1.0, pitch: float = 1.0) -> Utterance:
    """stretch: of durations (above 1 is slower). pitch: factor on the voice's own. flite prints each phone with its end time."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "a.wav"
        command = ["flite", "-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch:.3f}", "--setf", f"f0_shift={pitch:.3f}"]
        done = subprocess.run([*command, "-t", text, "-o", str(wav)], capture_output=True, text=True, check=True, timeout=60)
        samples, rate = soundfile.read(wav, dtype="float32")
    segments, start = [], 0.0
    for item in done.stdout.split():
        name, _, end = item.rpartition(":")
        segments.append((phones.ARPABET[name], start, float(end)))
        start = float(end)
    samples = soxr.resample(samples, rate, RATE).astype(np.float32)
    return Utterance(samples, segments)


_PHONEME = 7
_RATE_WPM, _PITCH, _RANGE = 1, 3, 4


class Espeak:
    """The espeak-ng library of this process (it has one global state: make one of these only)."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
        synchronous, phoneme_events, in_ipa = 2, 1, 2
        self.rate = int(self._lib.espeak_Initialize(synchronous, 0, None, phoneme_events | in_ipa))
        self._sound: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []
        self._callback = CALLBACK(self._collect)  # kept: ctypes holds no reference
        self._lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, sound, n, events):  # type: ignore[no-untyped-def]
        if sound:
            self._sound.append(np.ctypeslib.as_array(sound, (n,)).copy())
        i = 0
        while events[i].type:
            if events[i].type == _PHONEME:
                name = bytes(events[i].id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self._events.append((events[i].sample, name))
            i += 1
        return 0

    def say(self, text: str, voice: str, wpm: int = 165, pitch: int = 50, pitch_range: int = 50) -> Utterance:
        """voice: an espeak-ng language with an optional "+variant". wpm 80..450, pitch and range 0..100."""
        self._sound.clear()
        self._events.clear()
        if self._lib.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((_RATE_WPM, wpm), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        raw = text.encode()
        utf8, phoneme_strings = 1, 0x100
        self._lib.espeak_Synth(raw, ctypes.c_size_t(len(raw) + 1), 0, 0, 0, utf8 | phoneme_strings, None, None)
        self._lib.espeak_Synchronize()
        sound = np.concatenate(self._sound).astype(np.float32) / 32768
        starts = [s / self.rate for s, _ in self._events] + [len(sound) / self.rate]
        segments = [("_", 0.0, starts[0])] if starts[0] > 0 else []
        segments += [(name or "_", starts[k], starts[k + 1]) for k, (_, name) in enumerate(self._events) if starts[k + 1] > starts[k]]
        return Utterance(soxr.resample(sound, self.rate, RATE).astype(np.float32), _join(_closed(segments, sound, self.rate)))


def _closed(segments: list[phones.Segment], sound: NDArray[np.float32], rate: int) -> list[phones.Segment]:
    return [(phone.ipa, phone.start_s, phone.end_s) for phone in with_closures((Phone(*each) for each in segments), sound, rate)]


def _join(segments: list[phones.Segment]) -> list[phones.Segment]:
    """Neighbouring silences become one."""
    out: list[phones.Segment] = []
    for segment in segments:
        if out and out[-1][0] == "_" == segment[0]:
            out[-1] = ("_", out[-1][1], segment[2])
        else:
            out.append(segment)
    return out
