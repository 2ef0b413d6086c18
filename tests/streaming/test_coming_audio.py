"""Recordings that are still being made: the stream of one is that of the whole recording, and it begins before the recording ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from core.errors import Cancelled, EngineUnavailable, OptionError
from core.lite.mouth import MouthTracker
from core.media.audio import load_audio
from core.media.coming_audio import ComingAudio
from core.request import RenderOptions, Request
from core.settings import Settings
from core.studio import Studio
from core.types import Photo, Samples
from tests.support.serving import wait_for

SMALL = RenderOptions(size=64)
RATE_HZ = 24_000


def words(seconds: float) -> Samples:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    voiced = np.sin(2 * np.pi * 140 * times) * (np.sin(2 * np.pi * 2.1 * times) > -0.3)
    return (0.4 * voiced).astype(np.float32)


class Pieces:
    """Gives the pieces one after the other; from the piece `held` on only when `go_on` is set."""

    def __init__(self, samples: Samples, cuts: list[int], held: int | None = None) -> None:
        self.pieces = np.split(samples, cuts)
        self.held, self.go_on, self.given = held, threading.Event(), 0

    def __call__(self, cancel: threading.Event) -> Iterator[Samples]:
        for n, piece in enumerate(self.pieces):
            while n == self.held and not self.go_on.wait(0.01):
                if cancel.is_set():
                    raise Cancelled("It was cancelled.")
            self.given += 1
            yield piece


def stream(studio: Studio, portrait: Photo, audio: object) -> bytes:
    with studio.stream(Request(audio, portrait, options=SMALL)) as pieces:  # type: ignore[arg-type]
        return b"".join(piece.data for piece in pieces)


@pytest.mark.parametrize("seconds", [2.4, 2.0, 1.237, 0.1])
def test_the_stream_is_that_of_the_whole_recording(
    studio: Studio, portrait: Photo, settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(MouthTracker, "foresee", lambda tracker, samples: None)  # only a recording that is there as a whole is heard so
    samples = words(seconds)
    whole = stream(studio, portrait, load_audio((RATE_HZ, samples), settings))
    for cuts in ([], [1], [1000, 1001, 20_000], list(range(777, len(samples), 777))):
        audio = ComingAudio(RATE_HZ, Pieces(samples, cuts))
        assert stream(studio, portrait, audio) == whole, cuts
    assert audio.duration_s == pytest.approx(seconds, abs=1e-3)
    assert audio.n_frames == round(np.ceil(seconds * 25))


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 96_000])
def test_other_rates_are_heard_as_a_whole_recording_would_be(settings: Settings, rate_hz: int) -> None:
    samples = np.interp(np.arange(round(1.3 * rate_hz)) / rate_hz, np.arange(48_000) / RATE_HZ, words(2.0)).astype(np.float32)
    whole = load_audio((rate_hz, samples), settings).samples
    heard = np.concatenate(list(ComingAudio(rate_hz, Pieces(samples, [5000, 9000])).steps(3200)))
    np.testing.assert_array_equal(heard, whole)


def test_pictures_come_while_the_rest_is_made(studio: Studio, portrait: Photo) -> None:
    source = Pieces(words(6.0), [RATE_HZ], held=1)
    with studio.stream(Request(ComingAudio(RATE_HZ, source), portrait, options=SMALL)) as pieces:
        assert next(pieces).kind == "init"
        first = next(pieces)
        assert (first.n_frames, first.final) == (5, False)
        assert source.given == 1
        source.go_on.set()
        assert 5 + sum(piece.n_frames for piece in pieces) == 150
        assert pieces.job.result(5).audio_s == 6.0


def test_a_stream_that_is_closed_waits_for_nothing(studio: Studio, portrait: Photo) -> None:
    audio = ComingAudio(RATE_HZ, Pieces(words(3.0), [RATE_HZ], held=1))
    pieces = studio.stream(Request(audio, portrait, options=SMALL))
    next(pieces)
    next(pieces)
    pieces.close()
    audio.close()
    wait_for(lambda: pieces.job.wait(0))
    assert pieces.job.state == "cancelled"


@pytest.mark.parametrize("error", [EngineUnavailable, RuntimeError])
def test_what_ends_the_recording_ends_the_stream_after_what_came_before(studio: Studio, portrait: Photo, error: type[Exception]) -> None:
    def broken(cancel: threading.Event) -> Iterator[Samples]:
        yield words(1.0)
        raise error("The voice broke.")

    with studio.stream(Request(ComingAudio(RATE_HZ, broken), portrait, options=SMALL)) as pieces:
        assert next(pieces).kind == "init"
        assert next(pieces).n_frames == 5
        with pytest.raises(error, match=r"The voice broke\."):
            list(pieces)


def test_it_is_made_no_further_ahead_than_a_minute() -> None:
    source = Pieces(np.zeros(300 * RATE_HZ, np.float32), list(range(RATE_HZ, 300 * RATE_HZ, RATE_HZ)))
    audio = ComingAudio(RATE_HZ, source)
    audio.start()
    wait_for(lambda: source.given >= 60)
    steps = audio.steps(16_000 * 10)
    next(steps)
    assert source.given < 80
    audio.close()
    with pytest.raises(Cancelled):
        list(steps)


def test_a_file_needs_a_whole_one(studio: Studio, portrait: Photo, tmp_path: object) -> None:
    audio = ComingAudio(RATE_HZ, Pieces(words(1.0), []))
    with pytest.raises(OptionError, match="whole recording"):
        studio.submit(Request(audio, portrait, options=SMALL), tmp_path / "video.mp4")  # type: ignore[operator]
