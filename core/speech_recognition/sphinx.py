"""PocketSphinx: recognises American English on the CPU, with the time of every word; its network is in its package."""

from __future__ import annotations

import importlib.util
import re
import threading
from typing import Any

import numpy as np

from core.errors import Cancelled
from core.types import SAMPLE_RATE_HZ, Samples, Word

STEP = SAMPLE_RATE_HZ // 2
MOST_S, PAUSE_S = 12.0, 0.25
"""Speech is recognised in parts that end at a pause, or after so long."""
_FRAMES_A_SECOND = 100
_VARIANT = re.compile(r"\(\d+\)$")
_lock = threading.Lock()
_loaded: list[Any] = []


def is_installed() -> bool:
    return importlib.util.find_spec("pocketsphinx") is not None


def recognised(samples: Samples, cancel: threading.Event) -> tuple[Word, ...]:
    """The words of (n,) samples, as they are taken for, in order. One recording at a time; raises Cancelled soon after `cancel` is set."""
    with _lock:
        decoder = _decoder()
        words: list[Word] = []
        start = 0
        while start < len(samples):
            n = _part(samples[start:])
            words += _words(decoder, samples[start : start + n], start / SAMPLE_RATE_HZ, cancel)
            start += n
    return tuple(words)


def _part(samples: Samples) -> int:
    """Samples up to the quietest moment near the end of the longest part."""
    most = round(MOST_S * SAMPLE_RATE_HZ)
    if len(samples) <= most:
        return len(samples)
    pause = round(PAUSE_S * SAMPLE_RATE_HZ)
    loudness = np.convolve(np.square(samples[most // 2 : most], dtype=np.float64), np.ones(pause), "valid")
    return most // 2 + int(loudness.argmin()) + pause // 2


def _decoder() -> Any:
    import pocketsphinx

    if not _loaded:
        _loaded.append(pocketsphinx.Decoder(lm=pocketsphinx.get_model_path("en-us/en-us.lm.bin"), loglevel="FATAL"))
    return _loaded[0]


def _words(decoder: Any, samples: Samples, at_s: float, cancel: threading.Event) -> list[Word]:
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    decoder.start_utt()
    try:
        for start in range(0, len(pcm), STEP):
            if cancel.is_set():
                raise Cancelled("The recognition was cancelled.", code="cancelled")
            decoder.process_raw(pcm[start : start + STEP].tobytes())
    finally:
        decoder.end_utt()
    heard = [] if decoder.hyp() is None else list(decoder.seg())
    return [
        Word(_VARIANT.sub("", part.word), at_s + part.start_frame / _FRAMES_A_SECOND, at_s + (part.end_frame + 1) / _FRAMES_A_SECOND)
        for part in heard
        if part.word[0] not in "<["  # silence, and noises
    ]
