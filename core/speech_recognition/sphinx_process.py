"""The process that PocketSphinx works in: 16-bit samples of 16 kHz on standard input, behind them the task as JSON; the answer as JSON on
standard output. Its arguments say how many bytes of samples and of the task there are.

{"task": "words"}: [[word, start_s, end_s], ...].
{"task": "align", "words": [...], "pronunciations": {...}}: the phones of these words, which are what is said, in order. Either
{"unknown": [...]}, words that are in neither dictionary nor pronunciations; or {"score": of a frame on the average, null where nothing
fits, "words": [[index of the word, start_s, end_s], ...], "phones": [[phone, start_s, end_s], ...]}, silences being phones.
{"task": "phones"}: [[phone, start_s, end_s], ...], decoded freely.

A process of its own, because the library holds Python's lock while it computes, up to seconds at the end of a part: no live face could be
drawn meanwhile.
"""

from __future__ import annotations

import json
import math
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
    hear(decoder, samples, parent)
    heard = [] if decoder.hyp() is None else list(decoder.seg())
    return [
        (_VARIANT.sub("", each.word), at_s + each.start_frame / _FRAMES_A_SECOND, at_s + (each.end_frame + 1) / _FRAMES_A_SECOND)
        for each in heard
        if each.word[0] not in "<["  # silence, and noises
    ]


def aligned(samples: Pcm, said: list[str], pronunciations: dict[str, str], parent: int) -> dict[str, Any]:
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    unknown = [word for word in dict.fromkeys(said) if decoder.lookup_word(word) is None]
    if missing := [word for word in unknown if not pronunciations.get(word)]:
        return {"unknown": missing}
    for word in unknown:
        decoder.add_word(word, pronunciations[word], update=False)
    decoder.set_align_text(" ".join(said))
    nothing = {"score": None, "words": [], "phones": []}
    hear(decoder, samples, parent)
    if decoder.hyp() is None:
        return nothing
    found = list(decoder.seg())
    score = sum(math.log(max(each.ascore, 1e-300)) for each in found) / max(1, found[-1].end_frame)
    heard: list[tuple[int, float, float]] = []
    phones: list[Heard] = []
    try:
        decoder.set_alignment()  # of the words just found, by their phones
        hear(decoder, samples, parent)
        for word in decoder.get_alignment():  # each is good only until the next is asked for
            if word.name[0] not in "<[":
                heard.append((len(heard), word.start / _FRAMES_A_SECOND, (word.start + word.duration) / _FRAMES_A_SECOND))
            phones += [(each.name, each.start / _FRAMES_A_SECOND, (each.start + each.duration) / _FRAMES_A_SECOND) for each in word]
    except RuntimeError:  # the sound does not go through the phones
        return nothing
    return {"score": score, "words": heard, "phones": phones} if len(heard) == len(said) else nothing


def decoded(samples: Pcm, parent: int) -> list[Heard]:
    model = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
    decoder = pocketsphinx.Decoder(allphone=model, lm=None, lw=2.0, beam=1e-20, pbeam=1e-20, loglevel="FATAL")
    hear(decoder, samples, parent)
    return [(each.word, each.start_frame / _FRAMES_A_SECOND, (each.end_frame + 1) / _FRAMES_A_SECOND) for each in decoder.seg()]


def hear(decoder: Any, samples: Pcm, parent: int) -> None:
    """parent: as of `words`."""
    decoder.start_utt()
    for start in range(0, len(samples), STEP):
        if os.getppid() != parent:
            sys.exit(1)
        decoder.process_raw(samples[start : start + STEP].tobytes())
    decoder.end_utt()


def recognised(samples: Pcm, parent: int) -> list[Heard]:
    decoder = pocketsphinx.Decoder(lm=pocketsphinx.get_model_path("en-us/en-us.lm.bin"), loglevel="FATAL")
    found, start = list[Heard](), 0
    while start < len(samples):
        n = part(samples[start:])
        found += words(decoder, samples[start : start + n], start / SAMPLE_RATE_HZ, parent)
        start += n
    return found


def main() -> None:
    parent = os.getppid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # service managers tell every process of a service to end; the caller ends this one
    be_patient(PATIENT_SOON)
    n_samples, n_task = map(int, sys.argv[1:])
    data = sys.stdin.buffer.read()
    if len(data) != n_samples + n_task:  # whoever wrote them is gone, perhaps before `parent` was known
        sys.exit(1)
    samples, asked = np.frombuffer(data[:n_samples], "<i2"), json.loads(data[n_samples:])
    answer: Any
    if asked["task"] == "align":
        answer = aligned(samples, asked["words"], asked["pronunciations"], parent)
    else:
        answer = decoded(samples, parent) if asked["task"] == "phones" else recognised(samples, parent)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
