"""The visemes, blendshape weights and words of a whole recording, as a JSON file beside its video."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import disk_error
from core.lite.mouth import MouthTracker
from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Audio, Word
from core.visemes.frames import DIGITS, FRAME_MS
from core.visemes.names import OCULUS
from core.visemes.weights import DRIVEN, arkit_of_rows, azure_of_sound, oculus_of_phones, oculus_of_rows, parts

VERSION = 1
STEP_SAMPLES = 10 * SAMPLE_RATE_HZ


def viseme_document(audio: Audio, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Plain JSON types. Where the phones of the recording are known, visemes begin and end with them, else they are told from the sound, in
    steps of a frame. check: called between steps; may raise. The keys: docs/visemes.md.
    """
    tracker, heard = MouthTracker(), []
    tracker.expect(audio.phones)
    if not audio.phones:
        tracker.foresee(audio.samples)
    phones = [(phone.ipa, phone.start_s, phone.end_s) for phone in audio.phones]
    for samples in audio.steps(STEP_SAMPLES):
        check()
        heard.append(tracker.push(samples))
    rows = np.concatenate((*heard, tracker.flush()))
    by_phones = any(ipa for ipa, _, _ in phones)  # of a voice that tells none only the pauses are known
    if by_phones:
        oculus = oculus_of_phones(phones, (np.arange(len(rows)) + 0.5) * SAMPLES_PER_FRAME / SAMPLE_RATE_HZ)
        timed = [(viseme, start, end) for phone in phones for viseme, start, end in parts(phone)]
        events = _of_phones((viseme.oculus, start, end) for viseme, start, end in timed)
        azure = _of_phones((viseme.azure, start, end) for viseme, start, end in timed)
    else:
        oculus = oculus_of_rows(rows)
        events = _of_frames([OCULUS[column] for column in oculus.argmax(1).tolist()], oculus.max(1).tolist())
        azure = _of_frames(azure_of_sound(oculus), oculus.max(1).tolist())
    return {
        "version": VERSION,
        "duration_ms": round(audio.duration_s * 1000),
        "frame_ms": FRAME_MS,
        "source": "phones" if by_phones else "sound",
        "oculus": events,
        "azure": azure,
        "arkit": {"names": list(DRIVEN), "frames": np.round(arkit_of_rows(rows, oculus).astype(np.float64), DIGITS).tolist()},
        "words": _words(audio.words),
    }


def write_visemes(path: Path, audio: Audio, check: Callable[[], None] = lambda: None) -> None:
    """Arguments as of `viseme_document`. Raises OutputError."""
    _write(path, viseme_document(audio, check))


def add_words(path: Path, words: Sequence[Word]) -> None:
    """The words of a recording that were found after the file was written. Raises OutputError."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise disk_error(error, f"{path} cannot be read", "Make the video again.") from error
    _write(path, {**document, "words": _words(words)})


def _write(path: Path, document: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), "utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, f"{path} cannot be written", "Choose a place you may write to.") from error


def _words(words: Sequence[Word]) -> list[dict[str, Any]]:
    return [{"text": word.text, **_span(word.start_s, word.end_s)} for word in words]


def _of_phones(timed: Iterable[tuple[Any, float, float]]) -> list[dict[str, Any]]:
    """timed: visemes, with start and end in seconds. What is the same and follows without a gap is one."""
    joined: list[tuple[Any, float, float]] = []
    for viseme, start, end in timed:
        if joined and joined[-1][0] == viseme and start - joined[-1][2] < 1e-6:
            joined[-1] = (viseme, joined[-1][1], end)
        else:
            joined.append((viseme, start, end))
    return [{"viseme": viseme, **_span(start, end), "weight": 1.0} for viseme, start, end in joined]


def _of_frames(visemes: Sequence[Any], weights: Sequence[float]) -> list[dict[str, Any]]:
    """Events of frames: the same viseme in frames that follow one another is one, with the greatest of their weights."""
    events, at = [], 0
    for viseme, run in groupby(visemes):
        n = len(list(run))
        weight = round(max(weights[at : at + n]), DIGITS)
        events.append({"viseme": viseme, "start_ms": at * FRAME_MS, "duration_ms": n * FRAME_MS, "weight": weight})
        at += n
    return events


def _span(start_s: float, end_s: float) -> dict[str, int]:
    start_ms = round(start_s * 1000)
    return {"start_ms": start_ms, "duration_ms": round(end_s * 1000) - start_ms}
