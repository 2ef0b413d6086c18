"""A video made from a text is listened to by a recogniser."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest

import inference
from core.media.audio import load_audio
from core.settings import Settings
from tests.support.paths import PORTRAIT

SENTENCES = [
    "The birch canoe slid on the smooth planks.",
    "It is easy to tell the depth of a well.",
    "Four hours of steady work faced us.",
    "The boy was there when the sun rose.",
    "Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening.",
    "The girl at the booth sold fifty bonds.",
    "Two blue fish swam in the tank.",
    "Take the winding path to reach the lake.",
    "The wide road shimmered in the hot sun.",
]
MAX_ERRORS = 0.35
"""Of the words. The recogniser itself makes about one error in five on such sentences."""


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def errors(said: list[str], heard: list[str]) -> int:
    """Words wrong, missing or too many."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(said, 1):
        previous, row[0] = row[0], index
        for at, other in enumerate(heard, 1):
            previous, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, previous + (word != other))
    return row[-1]


def seconds(time: str) -> float:
    hours, minutes, rest = time.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


@pytest.mark.slow
def test_what_is_said_in_the_video_is_understood(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video, captions = tmp_path / "v.mp4", tmp_path / "v.srt"
    arguments = ["--text", " ".join(SENTENCES), "--source_path", str(PORTRAIT), "--output_path", str(video), "--captions", str(captions)]
    assert inference.main([*arguments, "--size", "128"]) == 0
    samples = load_audio(video, Settings()).samples
    blocks = [block.strip().split("\n") for block in captions.read_text("utf-8").split("\n\n")]
    assert [" ".join(lines) for _, _, *lines in blocks] == SENTENCES
    decoder = pocketsphinx.Decoder(lm=pocketsphinx.get_model_path("en-us/en-us.lm.bin"), loglevel="FATAL")
    wrong = 0
    for (_, times, *_), sentence in zip(blocks, SENTENCES, strict=True):
        start_s, end_s = (seconds(time) for time in times.split(" --> "))
        decoder.start_utt()
        cut = samples[int(start_s * 16_000) : int(end_s * 16_000)]
        decoder.process_raw((cut * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp().hypstr if decoder.hyp() else ""
        wrong += errors(words(sentence), words(heard))
    rate = wrong / sum(len(words(sentence)) for sentence in SENTENCES)
    with capfd.disabled():
        sys.stdout.write(f"word error rate {rate:.1%}\n")
    assert rate <= MAX_ERRORS
