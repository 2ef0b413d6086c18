"""Measures with a recogniser which pronunciation of English is understood better: espeak-ng's alone, or a dictionary's before it.

usage: python benchmarks/word_errors.py [--voice af_heart] [--sentences N] [--json OUT]

Each sentence of benchmarks/sentences.txt is spoken by a Kokoro voice twice, its letters spelled in one way and in the other, and heard by
PocketSphinx with its general model of English; where both spellings are the same it is spoken and heard once. A word error is a word that
is wrong, missing or too many; the rate is errors over words said. The intervals (95 %) and that of the difference are from 10,000 draws of
whole sentences with replacement (bootstrap), the same draws for both. The recogniser errs by itself: only the difference says something.
Needs requirements-dev.txt. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soxr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.speech_synthesis import kokoro_letters
from core.speech_synthesis.base import Voice, joined
from core.speech_synthesis.kokoro import VOICES, Kokoro
from tests.support.recogniser import RATE_HZ, Recogniser, errors, words

SENTENCES = Path(__file__).with_name("sentences.txt")
DRAWS = 10_000
WAYS = ("espeak-ng", "dictionary")


class Listener:
    """Speaks a sentence and counts what is misheard of it."""

    def __init__(self, voice: Voice) -> None:
        self._kokoro, self._recogniser, self._voice = Kokoro(), Recogniser(), voice

    def misheard(self, sentence: str) -> int:
        speech = joined(self._kokoro.speak(sentence, self._voice, 1.0, threading.Event()))
        samples = soxr.resample(speech.samples, speech.sample_rate_hz, RATE_HZ)
        return errors(words(sentence), self._recogniser.hear(samples))

    def spelling(self, sentence: str) -> list[tuple[int, ...]]:
        read = self._kokoro._espeak.read(sentence, self._voice.language.lower(), 1.0, threading.Event())
        return [piece.numbers for piece in kokoro_letters.letters_of(sentence, read.words, self._voice.language)]


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--voice", default="af_heart", choices=[voice.id for voice in VOICES if voice.language.startswith("en")])
    parser.add_argument("--sentences", type=int, default=200, help="so many, from the first (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    sentences = SENTENCES.read_text("utf-8").splitlines()[: arguments.sentences]
    listener = Listener(next(voice for voice in VOICES if voice.id == arguments.voice))
    counts = np.zeros((len(WAYS), len(sentences)))
    differing = 0
    for index, sentence in enumerate(sentences):
        by_dictionary = listener.spelling(sentence)
        counts[1, index] = listener.misheard(sentence)
        with patch.object(kokoro_letters, "look_up", lambda segment, language: None):
            differs = listener.spelling(sentence) != by_dictionary
            counts[0, index] = listener.misheard(sentence) if differs else counts[1, index]
        differing += differs
        sys.stderr.write(f"\r{index + 1}/{len(sentences)}  errors {counts[0].sum():.0f} {counts[1].sum():.0f} ")
    said = np.array([len(words(sentence)) for sentence in sentences])
    drawn = np.random.default_rng(0).integers(0, len(sentences), (DRAWS, len(sentences)))
    rates = counts[:, drawn].sum(axis=2) / said[drawn].sum(axis=1)
    sys.stderr.write("\n")
    report: dict[str, object] = {"voice": arguments.voice, "sentences": len(sentences), "words": int(said.sum()), "differing": differing}
    for name, count, rate in zip(WAYS, counts, rates, strict=True):
        low, high = interval(rate)
        report[name] = {"rate": count.sum() / said.sum(), "interval": [low, high]}
        sys.stdout.write(f"{name:<12} {count.sum() / said.sum():6.1%}  ({low:.1%} to {high:.1%})\n")
    low, high = interval(rates[1] - rates[0])
    report["difference"] = {"rate": (counts[1] - counts[0]).sum() / said.sum(), "interval": [low, high]}
    sys.stdout.write(f"difference   {(counts[1] - counts[0]).sum() / said.sum():+6.1%}  ({low:+.1%} to {high:+.1%})\n")
    line = json.dumps(report)
    if arguments.json:
        arguments.json.write_text(line + "\n", "utf-8")
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
