"""Weights of visemes and blendshapes, and the file that tells them of a recording."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from core.errors import Cancelled, OutputError
from core.lite.mouth import MouthTracker
from core.types import Audio, Phone, Word
from core.visemes.document import add_words, viseme_document, write_visemes
from core.visemes.files import beside
from core.visemes.names import OCULUS, visemes_of
from core.visemes.weights import DRIVEN, FLANK_S, arkit_of_rows, oculus_of_phones, oculus_of_rows
from tests.support.paths import ROOT

DATA = ROOT / "tests/data"


@pytest.fixture(scope="module")
def speech() -> Audio:
    return Audio(soundfile.read(DATA / "kal16_lips.flac", dtype="float32")[0], b"", 16_000, 1, words=(Word("My", 0.2, 0.45),))


@pytest.fixture(scope="module")
def phones() -> list[tuple[str, float, float]]:
    return [(phone, start, end) for phone, start, end, _ in json.loads((DATA / "kal16_lips.json").read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def rows(speech: Audio) -> np.ndarray:
    tracker = MouthTracker()
    return np.concatenate((tracker.push(speech.samples), tracker.flush()))


def test_weights_are_shares(rows: np.ndarray, phones: list[tuple[str, float, float]]) -> None:
    t = (np.arange(len(rows)) + 0.5) * 0.04
    for weights in (oculus_of_rows(rows), oculus_of_phones(phones, t)):
        assert weights.shape == (len(rows), 15)
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    shapes = arkit_of_rows(rows, oculus_of_rows(rows))
    assert shapes.shape == (len(rows), len(DRIVEN))
    assert shapes.min() >= 0
    assert shapes.max() <= 1
    jaw, press = shapes[:, DRIVEN.index("jawOpen")], shapes[:, DRIVEN.index("mouthPressLeft")]
    assert jaw.max() > 0.5
    assert jaw[press > 0.3].max() < 0.1, "lips that press are shut"


def test_sound_alone_finds_the_visemes_that_are_seen(rows: np.ndarray, phones: list[tuple[str, float, float]]) -> None:
    """Of a voice that the networks never heard, and within a frame: lips close, round and open where they do; at rest is silence."""
    told = [OCULUS[column] for column in oculus_of_rows(rows).argmax(1)]
    wanted = {"p": "PP", "m": "PP", "u": "U", "æ": "aa", "_": "sil"}
    hits = {phone: [] for phone in wanted}
    for phone, start, end in phones:
        if phone in wanted:
            hits[phone].append(wanted[phone] in told[max(0, int(start / 0.04) - 1) : int(end / 0.04) + 2])
    assert all(found for found in hits.values()), hits
    assert np.mean([hit for found in hits.values() for hit in found]) > 0.8, hits


def test_silence_is_rest() -> None:
    document = viseme_document(Audio(np.zeros(16_000, np.float32), b"", 16_000, 1))
    assert document["oculus"] == [{"viseme": "sil", "start_ms": 0, "duration_ms": 1000, "weight": pytest.approx(0.85, abs=0.15)}]
    assert [event["viseme"] for event in document["azure"]] == [0]
    assert np.max(document["arkit"]["frames"]) < 0.05


def test_a_recording_is_covered_without_gaps(speech: Audio) -> None:
    document = viseme_document(speech)
    assert document["source"] == "sound"
    assert document["duration_ms"] == round(len(speech.samples) / 16)
    assert document["words"] == [{"text": "My", "start_ms": 200, "duration_ms": 250}]
    assert len(document["arkit"]["frames"]) == speech.n_frames
    for kind in ("oculus", "azure"):
        events = document[kind]
        ends = [event["start_ms"] + event["duration_ms"] for event in events]
        assert [event["start_ms"] for event in events] == [0, *ends[:-1]]
        assert ends[-1] == 40 * speech.n_frames
        assert all(before["viseme"] != after["viseme"] for before, after in zip(events, events[1:], strict=False))
        assert all(0 < event["weight"] <= 1 for event in events)


def test_known_phones_give_the_times(speech: Audio, phones: list[tuple[str, float, float]]) -> None:
    document = viseme_document(dataclasses.replace(speech, phones=tuple(Phone(*phone) for phone in phones)))
    assert document["source"] == "phones"
    starts = {event["start_ms"] for event in document["oculus"]}
    visemes = [next(visemes_of(phone)).oculus for phone, _, _ in phones]
    begun = [round(phones[k][1] * 1000) for k in range(1, len(phones)) if visemes[k] != list(visemes_of(phones[k - 1][0]))[-1].oculus]
    assert set(begun) <= starts
    named = {event["viseme"] for event in document["oculus"]}
    assert {"TH", "nn", "PP", "FF", "SS", "sil"} <= named
    at = [(phones[k][1] + phones[k][2]) / 2 for k in range(len(phones)) if phones[k][2] - phones[k][1] > FLANK_S]
    weights = oculus_of_phones(phones, np.array(at))
    middle = [next(v for v in visemes_of(p[0])).oculus for p in phones if p[2] - p[1] > FLANK_S and len(list(visemes_of(p[0]))) == 1]
    single = [k for k, p in enumerate(p for p in phones if p[2] - p[1] > FLANK_S) if len(list(visemes_of(p[0]))) == 1]
    assert [OCULUS[column] for column in weights[single].argmax(1)] == middle


def frame_by_frame(document: dict[str, Any]) -> list[str]:
    return [event["viseme"] for event in document["oculus"] for _ in range(event["duration_ms"] // 40)]


def test_known_pauses_between_words_that_are_not_known_say_nothing_of_these(speech: Audio, rows: np.ndarray) -> None:
    end_s = len(speech.samples) / 16_000
    document = viseme_document(dataclasses.replace(speech, phones=(Phone("", end_s - 0.1, end_s),)))
    assert document["source"] == "sound"
    assert frame_by_frame(document) == [OCULUS[column] for column in oculus_of_rows(rows).argmax(1)]


def test_a_recording_of_which_nothing_is_known_is_heard_as_a_whole(speech: Audio) -> None:
    """As it is where its video is drawn."""
    tracker = MouthTracker()
    tracker.foresee(speech.samples)
    rows = np.concatenate((tracker.push(speech.samples), tracker.flush()))
    assert frame_by_frame(viseme_document(speech)) == [OCULUS[column] for column in oculus_of_rows(rows).argmax(1)]


def test_it_is_written_whole_and_words_come_later(speech: Audio, tmp_path: Path) -> None:
    path = beside(tmp_path / "video.mp4")
    assert path.name == "video.visemes.json"
    write_visemes(path, speech)
    add_words(path, [Word("mother", 0.5, 0.9)])
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["words"] == [{"text": "mother", "start_ms": 500, "duration_ms": 400}]
    assert document["oculus"] == viseme_document(speech)["oculus"]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_goes_wrong_is_said(speech: Audio, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_visemes(tmp_path / "nowhere" / "video.visemes.json", speech)

    def cancelled() -> None:
        raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        write_visemes(tmp_path / "video.visemes.json", speech, cancelled)
    assert not list(tmp_path.iterdir())


def test_frames_alone_and_together_have_the_same_visemes(phones: list[tuple[str, float, float]]) -> None:
    t = (np.arange(200) + 0.5) * 0.04
    alone = np.concatenate([oculus_of_phones(phones, t[n : n + 1]) for n in range(len(t))])
    np.testing.assert_allclose(oculus_of_phones(phones, t), alone, atol=1e-6)
