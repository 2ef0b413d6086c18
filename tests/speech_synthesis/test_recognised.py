"""A video made from a text is listened to by a recogniser."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import inference
from core.media.audio import load_audio
from core.settings import Settings
from tests.support.paths import PORTRAIT
from tests.support.recogniser import RATE_HZ, Recogniser, errors, words

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
    recogniser = Recogniser()
    wrong = 0
    for (_, times, *_), sentence in zip(blocks, SENTENCES, strict=True):
        start_s, end_s = (seconds(time) for time in times.split(" --> "))
        wrong += errors(words(sentence), recogniser.hear(samples[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)]))
    rate = wrong / sum(len(words(sentence)) for sentence in SENTENCES)
    with capfd.disabled():
        sys.stdout.write(f"word error rate {rate:.1%}\n")
    assert rate <= MAX_ERRORS
