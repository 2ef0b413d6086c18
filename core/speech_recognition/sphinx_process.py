"""The process that PocketSphinx works in: 16-bit samples of 16 kHz on standard input, behind them the task as JSON; the answer as JSON on
standard output. Its arguments say how many bytes of samples and of the task there are.

{"task": "words"}: [[word, start_s, end_s], ...].
{"task": "align", "words": [...], "pronunciations": {...}}: when the phones of these words, which are what is said, are heard. Either
{"unknown": [...]}, words that are in neither dictionary nor pronunciations; or {"words": [number of phones of each], "phones":
[[phone, start_s, end_s, score], ...]}; "" are silences, score is the logarithm of a frame's likelihood. No phones: nothing fits.

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
BEAM = 1e-80
"""Of alignment: wider than usual, for voices that the network does not know, such as a machine's."""
SCORE_STEP = 1024
"""The first pass counts logarithms of likelihoods in such steps (SENSCR_SHIFT of the library, 10 bits)."""
LEAST_PHONE_S = 0.03
"""The network has three states for each phone, of a frame at least: what is longer does not fit, and is not tried."""
_EDGE_S, _NOISE = 0.4, 30.0
_PHONE = "ph_"
MOST_ALIGNING_S, MOST_ALIGNING_RATIO = 300, 10
"""Alignment is one call, in which this process cannot look whether its caller still lives: it ends after so long, and so many times the
length of the sound.
"""
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


def aligned(samples: Pcm, said: list[str], pronunciations: dict[str, str]) -> dict[str, Any]:
    """Each phone is a word of the grammar: the library's own second pass, from words to phones, fails on every other recording. So does its
    search for the best path among those that the first pass left (`bestpath`): for a grammar that is one sequence it finds nothing better.
    """
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", beam=BEAM, pbeam=BEAM, wbeam=BEAM, silprob=1e-3, bestpath=False)
    spelled = [(decoder.lookup_word(word) or pronunciations.get(word, "")).split() for word in said]
    if unknown := [word for word, phones in zip(said, spelled, strict=True) if not phones]:
        return {"unknown": list(dict.fromkeys(unknown))}
    if LEAST_PHONE_S * sum(map(len, spelled)) > len(samples) / SAMPLE_RATE_HZ + 2 * _EDGE_S:
        return {"words": [len(phones) for phones in spelled], "phones": []}
    for phone in {phone for phones in spelled for phone in phones}:
        decoder.add_word(_PHONE + phone, phone, update=False)
    decoder.set_align_text(" ".join(_PHONE + phone for phones in spelled for phone in phones))
    decoder.start_utt()
    decoder.process_raw(_framed(samples).tobytes(), full_utt=True)  # its level is evened over the whole, not as it comes
    decoder.end_utt()
    counts, found, duration_s = [len(phones) for phones in spelled], [], len(samples) / SAMPLE_RATE_HZ
    for each in decoder.seg() if decoder.hyp() is not None else ():
        begin, end = (min(max(at / _FRAMES_A_SECOND - _EDGE_S, 0.0), duration_s) for at in (each.start_frame, each.end_frame + 1))
        name = each.word.removeprefix(_PHONE) if each.word.startswith(_PHONE) else ""
        if end > begin and each.word not in ("<s>", "</s>"):
            found.append((name, begin, end, SCORE_STEP * math.log(each.ascore) / (each.end_frame + 1 - each.start_frame)))
    whole = sum(bool(name) for name, *_ in found) == sum(counts)
    return {"words": counts, "phones": found if whole else []}


def _framed(samples: Pcm) -> Pcm:
    """With a faint noise under it and before and after it: the network knows no digital silence, and begins and ends with a pause."""
    edge = np.zeros(round(_EDGE_S * SAMPLE_RATE_HZ), np.int16)
    framed = np.concatenate((edge, samples, edge)).astype(np.float64)
    framed += np.random.default_rng(0).normal(0, _NOISE, len(framed))
    return np.clip(framed, -32768, 32767).astype("<i2")


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
        signal.alarm(MOST_ALIGNING_S + MOST_ALIGNING_RATIO * len(samples) // SAMPLE_RATE_HZ)
        answer = aligned(samples, asked["words"], asked["pronunciations"])
    else:
        answer = recognised(samples, parent)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
