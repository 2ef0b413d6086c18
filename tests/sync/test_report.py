"""The sync report of files: known shifts, sound of somebody else, silence, no face, no sound, late tracks, other rates."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from core.errors import AudioError, ImageError
from core.settings import Settings
from core.sync.report import Measured, measure, seen_in
from core.types import Audio, Frame
from tests.support.charts import chart
from tests.support.clip_files import clip_file
from tests.sync.conftest import MakeVideo, moved


@pytest.mark.parametrize("ms", [-400, -170, 0, 90, 400])
def test_a_known_shift_is_recovered(ms: int, frames: list[Frame], speech: Audio, make_video: MakeVideo, settings: Settings) -> None:
    report = measure(make_video(frames, moved(speech.samples, ms)), settings).report
    assert report.offset_ms == pytest.approx(ms, abs=20)
    assert report.fits
    assert report.reason == ""
    assert report.in_time == (ms == 0)


def test_what_the_engine_makes_fits_in_every_second(
    frames_7s: list[Frame], speech_7s: Audio, make_video: MakeVideo, settings: Settings
) -> None:
    report = measure(make_video(frames_7s, speech_7s.samples), settings).report
    assert report.offset_ms == pytest.approx(0, abs=8)
    assert report.confidence is not None
    assert report.confidence > 0.8
    assert report.share == 1.0
    spoken = [second for second in report.timeline if second.speech >= 0.2]
    assert len(spoken) >= 6
    assert all(second.fits and second.seen == 1.0 for second in spoken)
    assert [second.from_s for second in report.timeline] == list(range(8))


def test_the_sound_of_somebody_else_does_not_fit(
    frames_7s: list[Frame], other_speech: Audio, make_video: MakeVideo, settings: Settings
) -> None:
    report = measure(make_video(frames_7s, other_speech.samples), settings).report
    assert report.confidence is not None
    assert report.chance is not None
    assert report.confidence < report.chance
    assert (report.reason, report.fits, report.in_time) == ("unlike", False, False)
    assert report.share is not None
    assert report.share < 0.5


def nothing(measured: Measured) -> str:
    """The reason of a report that measured nothing."""
    report = measured.report
    assert (report.offset_ms, report.confidence, report.chance, report.share) == (None, None, None, None)
    assert not report.fits
    return report.reason


def test_silence_has_no_confidence(frames: list[Frame], make_video: MakeVideo, settings: Settings) -> None:
    assert nothing(measure(make_video(frames, np.zeros(48_000, np.float32)), settings)) == "silent"


def test_no_face_has_no_confidence(speech: Audio, make_video: MakeVideo, settings: Settings) -> None:
    measured = measure(make_video([chart()] * 20, speech.samples[: 16_000 * 2]), settings)
    assert nothing(measured) == "no_face"
    assert any(second.speech > 0.2 and second.seen == 0 for second in measured.report.timeline)


def test_a_word_is_too_short(frames: list[Frame], speech: Audio, make_video: MakeVideo, settings: Settings) -> None:
    assert nothing(measure(make_video(frames[:18], speech.samples[:11_000]), settings)) == "short"


def test_lips_that_do_not_move(frames: list[Frame], speech: Audio, make_video: MakeVideo, settings: Settings) -> None:
    report = measure(make_video([frames[0]] * len(frames), speech.samples), settings).report
    assert not report.fits
    assert report.reason in ("still", "short")


def rewritten(source: Path, target: Path, late_s: float = 0.0, sound: bool = True, rate: int = 25) -> Path:
    """The video in another container, its picture (every frame `rate` / 25 times or the nearest) shown `late_s` later."""
    codecs = ("libvpx-vp9", "libopus") if target.suffix in (".webm", ".mkv") else ("libx264", "aac")
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        picture: Any = out.add_stream(codecs[0], rate=rate, options={"cpu-used": "8"})
        picture.width, picture.height, picture.pix_fmt = 320, 320, "yuv420p"
        picture.time_base = Fraction(1, rate)
        track: Any = out.add_stream(codecs[1], rate=48000) if sound else None
        for n, frame in enumerate(_at_rate(list(given.decode(video=0)), rate)):
            again = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), "rgb24")
            again.pts, again.time_base = n + round(late_s * rate), Fraction(1, rate)
            out.mux(picture.encode(again))
        out.mux(picture.encode(None))
        if track is not None:
            given.seek(0)
            resampler = av.AudioResampler("flt" if codecs[1] == "libopus" else "fltp", "mono", 48000)
            for frame in given.decode(audio=0):
                for part in resampler.resample(frame):
                    out.mux(track.encode(part))
            out.mux(track.encode(None))
    return target


def _at_rate(frames: list[av.VideoFrame], rate: int) -> list[av.VideoFrame]:
    return [frames[min(int(n * 25 / rate), len(frames) - 1)] for n in range(len(frames) * rate // 25)]


@pytest.mark.parametrize(("name", "late_s", "rate"), [("late.mp4", 0.2, 25), ("fast.webm", 0.0, 50), ("late.mkv", 0.12, 25)])
def test_times_are_those_of_the_file(
    name: str, late_s: float, rate: int, frames: list[Frame], speech: Audio, make_video: MakeVideo, settings: Settings, tmp_path: Path
) -> None:
    report = measure(rewritten(make_video(frames, speech.samples), tmp_path / name, late_s, rate=rate), settings).report
    assert report.offset_ms == pytest.approx(1000 * late_s, abs=12)
    assert report.fits


def test_pictures_that_become_small_midway_are_looked_at_all_the_same(frames: list[Frame]) -> None:
    large = [np.pad(frame, ((frame.shape[0], 0), (frame.shape[1], 0), (0, 0))) for frame in frames[:6]]  # the face is far from the corner
    parts = ((large, 0), ([frame[::8, ::8].copy() for frame in large], 240))
    joined = b"".join(clip_file(shown, form="mpegts", times_ms=[at + 40 * i for i in range(6)], gop=1) for shown, at in parts)
    seen = seen_in(joined, "calls", 0.0, 50)
    assert np.isfinite(seen).any()


def test_a_video_without_a_sound_track(
    frames: list[Frame], speech: Audio, make_video: MakeVideo, settings: Settings, tmp_path: Path
) -> None:
    mute = rewritten(make_video(frames[:5], speech.samples), tmp_path / "mute.mp4", sound=False)
    assert nothing(measure(mute, settings)) == "no_sound"


def test_what_is_no_video_is_refused(tmp_path: Path, settings: Settings, speech: Audio, frames: list[Frame], make_video: MakeVideo) -> None:
    (tmp_path / "text.mp4").write_bytes(b"This is no video.")
    with pytest.raises(ImageError, match=r"text\.mp4 is not a video"):
        measure(tmp_path / "text.mp4", settings)
    with pytest.raises(ImageError, match="does not exist"):
        measure(tmp_path / "none.mp4", settings)
    (tmp_path / "speech.wav").write_bytes(speech.original)
    with pytest.raises(ImageError, match="not a video"):
        measure(tmp_path / "speech.wav", settings)
    video = make_video(frames[:5], speech.samples)
    with pytest.raises(ImageError, match="MiB"):
        measure(video, settings.model_copy(update={"max_video_bytes": 1000}))
    with pytest.raises(AudioError, match="longer than"):
        measure(video, settings.model_copy(update={"max_audio_s": 0.1}))
