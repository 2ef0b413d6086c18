"""The process that PocketSphinx recognises in: 16-bit samples of 16 kHz on standard input, the words as JSON on standard output.
Its argument says how many bytes of samples there are.

A process of its own, because the library holds Python's lock while it computes, up to seconds at the end of a part: no live face could be
drawn meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import Any

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from core.thread_priority import PATIENT_SOON, be_patient
from core.types import SAMPLE_RATE_HZ

STEP = SAMPLE_RATE_HZ // 2
MOST_S, PAUSE_S = 12.0, 0.25
"""Speech is recognised in parts that end at a pause, or after so long."""
_FRAMES_A_SECOND = 100
_VARIANT = re.compile(r"\(\d+\)$")

Pcm = NDArray[np.int16]
Heard = tuple[str, float, float]
"""A word, when it begins and when it ends."""


def part(samples: Pcm) -> int:
    """Samples up to the quietest moment near the end of the longest part."""
    most = round(MOST_S * SAMPLE_RATE_HZ)
    if len(samples) <= most:
        return len(samples)
    pause = round(PAUSE_S * SAMPLE_RATE_HZ)
    loudness = np.convolve(np.square(samples[most // 2 : most], dtype=np.float64), np.ones(pause), "valid")
    return most // 2 + int(loudness.argmin()) + pause // 2


def words(decoder: Any, samples: Pcm, at_s: float, parent: int) -> list[Heard]:
    """Of one part that begins at `at_s`. parent: the process for which they are; where it is gone this one ends, too."""
    decoder.start_utt()
    for start in range(0, len(samples), STEP):
        if os.getppid() != parent:
            sys.exit(1)
        decoder.process_raw(samples[start : start + STEP].tobytes())
    decoder.end_utt()
    heard = [] if decoder.hyp() is None else list(decoder.seg())
    return [
        (_VARIANT.sub("", each.word), at_s + each.start_frame / _FRAMES_A_SECOND, at_s + (each.end_frame + 1) / _FRAMES_A_SECOND)
        for each in heard
        if each.word[0] not in "<["  # silence, and noises
    ]


def main() -> None:
    parent = os.getppid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # service managers tell every process of a service to end; the caller ends this one
    be_patient(PATIENT_SOON)
    data = sys.stdin.buffer.read()
    if len(data) != int(sys.argv[1]):  # whoever wrote them is gone, perhaps before `parent` was known
        sys.exit(1)
    samples = np.frombuffer(data, "<i2")
    decoder = pocketsphinx.Decoder(lm=pocketsphinx.get_model_path("en-us/en-us.lm.bin"), loglevel="FATAL")
    found, start = list[Heard](), 0
    while start < len(samples):
        n = part(samples[start:])
        found += words(decoder, samples[start : start + n], start / SAMPLE_RATE_HZ, parent)
        start += n
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
